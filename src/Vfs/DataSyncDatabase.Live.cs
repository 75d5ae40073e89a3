using System.Diagnostics.CodeAnalysis;
using DataSync.Storage;

namespace DataSync.Vfs;

// Queries that follow the database.
public sealed partial class DataSyncDatabase
{
    private LiveQueries? _live;

    /// <summary>Which tables queries read; made when the database is open.</summary>
    internal TableScout Scout { get; private set; } = null!;

    internal LiveQueries Live => _live ?? throw new InvalidOperationException("The database is not open yet.");

    /// <summary>
    /// Runs a query here as <see cref="QueryAsync{T}"/> does, and again whenever a table that it reads was changed, by any tab: at most once a frame (16 ms), and it says nothing where the rows are the same.
    /// It shows what this tab's queries show, so also deferred writes of this tab that are not durable yet.
    /// </summary>
    /// <param name="sql">The query; it must not write.</param>
    /// <param name="parameters">As for <see cref="ExecuteAsync(string, object?, CancellationToken)"/>; they can be changed later.</param>
    /// <param name="key">What tells rows apart, such as <c>todo => todo.Id</c>; then <see cref="LiveChangedEventArgs{T}.Diff"/> says what became of each. Null for none.</param>
    /// <param name="cancellationToken">Stops waiting for the first run.</param>
    /// <returns>The query after its first run. Dispose it; the database's end ends it, too.</returns>
    /// <exception cref="InvalidOperationException">The query writes.</exception>
    /// <inheritdoc cref="QueryAsync{T}" path="/exception"/>
    public Task<LiveQuery<T>> LiveAsync<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors | DynamicallyAccessedMemberTypes.PublicProperties)] T>(
        string sql, object? parameters = null, Func<T, object?>? key = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sql);
        return StartLiveAsync(SourceOf<T>(sql, parameters), key, cancellationToken);
    }

    /// <summary>As the other, with rows as they are: null, <see cref="long"/>, <see cref="double"/>, <see cref="string"/> or <c>byte[]</c> for each of <see cref="LiveQuery{T}.Columns"/>.</summary>
    /// <inheritdoc cref="LiveAsync{T}"/>
    public Task<LiveQuery<IReadOnlyList<object?>>> LiveAsync(string sql, object? parameters = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sql);
        return StartLiveAsync(
            new SqlSource<IReadOnlyList<object?>>(this, sql, parameters, _ => new(
                row =>
                {
                    var values = new object?[row.Columns.Length];
                    for (var i = 0; i < values.Length; i++) values[i] = row.GetValue(i);
                    return values;
                },
                values => values)),
            null,
            cancellationToken);
    }

    /// <summary>
    /// A live query before its first run: attach to its <see cref="LiveQuery{T}.Changed"/>, then call <see cref="LiveQuery{T}.BeginAsync"/> (see <see cref="OutsideWork"/>). Unlike that of
    /// <see cref="LiveAsync{T}"/> it survives a first run that fails.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The database was closed.</exception>
    /// <exception cref="StorageException">The database has stopped.</exception>
    internal LiveQuery<T> PrepareLive<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors | DynamicallyAccessedMemberTypes.PublicProperties)] T>(
        string sql, object? parameters, Func<T, object?>? key)
    {
        ThrowIfUnusable();
        return new LiveQuery<T>(Live, SourceOf<T>(sql, parameters), key);
    }

    /// <summary>Calls what must not read what the work of a transaction has written so far, though it may be called from within such work: a component that is rendered there.</summary>
    internal Task OutsideWork(Func<Task> call)
    {
        var called = Task.CompletedTask;
        RaiseOutsideWork(() => called = call());
        return called;
    }

    /// <summary>Why the database has stopped; null while it works.</summary>
    internal StorageException? Fault => _pipeline.Fault;

    internal async Task<LiveQuery<T>> StartLiveAsync<T>(LiveSource<T> source, Func<T, object?>? key, CancellationToken cancellationToken)
    {
        ThrowIfUnusable();
        ThrowIfWithinWork();
        cancellationToken.ThrowIfCancellationRequested();
        var query = new LiveQuery<T>(Live, source, key);
        await query.StartAsync(cancellationToken).ConfigureAwait(false);
        return query;
    }

    private SqlSource<T> SourceOf<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors | DynamicallyAccessedMemberTypes.PublicProperties)] T>(
        string sql, object? parameters) =>
        new(this, sql, parameters, columns =>
        {
            var mapper = new RowMapper<T>(columns);
            return new(mapper.Read, mapper.Make);
        });

    private void OpenLive()
    {
        Scout = new TableScout(Name, _pipeline.Storage, _options.ConfigureConnection);
        _live = new LiveQueries(Scout, _time, error => Log.HandlerFailed(_logger, nameof(LiveQuery<>.Changed), error));
        _pipeline.Storage.Changed = _live.OnChanged;
    }

    private async Task CloseLiveAsync()
    {
        if (_live is null) return;
        await _live.EndAsync().ConfigureAwait(false);
        Scout.Dispose();
    }
}
