using System.Diagnostics.CodeAnalysis;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

// Queries that follow the database.
public sealed partial class DataSyncDatabase
{
    private LiveQueries? _live;

    /// <summary>Which tables queries read; made when the database is open.</summary>
    internal TableScout Scout { get; private set; } = null!;

    /// <summary>Compares rows with what they were; made when the database is open.</summary>
    internal RowDiff Rows { get; private set; } = null!;

    internal TimeProvider Time => _time;

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
    /// What becomes of a table's rows, whoever writes: each time the rows that are other ones, new or gone since the time before, with their values before and now; those together that change while the reader is
    /// busy, and none is left out. A row that is again as it was is not told. Begins with the enumeration, and ends with the database. As a live query it shows what this tab's queries
    /// show, so also deferred writes of this tab that are not durable yet, and their being taken back.
    /// </summary>
    /// <remarks>
    /// Rows are told apart by the table's primary key; where it has none, by their rowid. Compared are the values that SQLite stores: 1 and 1.0 differ, and so do texts that a collation takes for equal. What is told together is in the order of the
    /// keys, those that are gone last. While the reader is busy, each block that changes is kept as it was, so memory may grow up to the size of the database.
    /// </remarks>
    /// <param name="table">The table; it may be created later. Not a view.</param>
    /// <param name="includePresent">Whether the rows that are there when the enumeration begins are told first, as inserted ones.</param>
    /// <exception cref="ObjectDisposedException">When the enumeration begins: the database was closed.</exception>
    /// <exception cref="StorageException">In the enumeration: the database has stopped.</exception>
    /// <exception cref="SqliteException">In the enumeration: the SQL failed (a collation that <see cref="DataSyncOptions.ConfigureConnection"/> does not make, for instance).</exception>
    /// <exception cref="InvalidOperationException">In the enumeration: it is a view; its columns do not make the type; or it is called within the work of a <c>WriteAsync</c>.</exception>
    /// <exception cref="InvalidCastException">In the enumeration: a value does not fit the type.</exception>
    public IAsyncEnumerable<IReadOnlyList<RowChange<T>>> RowChanges<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors | DynamicallyAccessedMemberTypes.PublicProperties)] T>(
        string table, bool includePresent = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(table);
        return new RowFeed<T>(this, [table], includePresent, static (columns, first) => new RowMapper<T>(columns, first).Map);
    }

    /// <summary>
    /// As <see cref="RowChanges{T}(string, bool)"/>, of several tables, each row as its columns' names and values: null, <see cref="long"/>, <see cref="double"/>, <see cref="string"/> or <c>byte[]</c>. What is told together is in
    /// the order in which the tables are given.
    /// </summary>
    /// <param name="tables">The tables, at least one.</param>
    /// <param name="includePresent">As for the other.</param>
    /// <inheritdoc cref="RowChanges{T}(string, bool)" path="/remarks"/>
    /// <inheritdoc cref="RowChanges{T}(string, bool)" path="/exception"/>
    public IAsyncEnumerable<IReadOnlyList<RowChange<IReadOnlyDictionary<string, object?>>>> RowChanges(IReadOnlyCollection<string> tables, bool includePresent = false)
    {
        ArgumentNullException.ThrowIfNull(tables);
        if (tables.Count == 0 || tables.Any(string.IsNullOrEmpty)) throw new ArgumentException("Name the tables whose rows are to be told.", nameof(tables));
        return new RowFeed<IReadOnlyDictionary<string, object?>>(this, [.. tables], includePresent, static (columns, first) => row =>
        {
            var values = new Dictionary<string, object?>(columns.Count, StringComparer.OrdinalIgnoreCase);
            for (var i = 0; i < columns.Count; i++) values[columns[i]] = row.GetValue(first + i);
            return values;
        });
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
        Rows = new RowDiff(Name, _pipeline.Storage, _options.ConfigureConnection);
        _live = new LiveQueries(Scout, _time, error => Log.HandlerFailed(_logger, nameof(LiveQuery<>.Changed), error));
        _pipeline.Storage.Changed = _live.OnChanged;
    }

    private async Task CloseLiveAsync()
    {
        if (_live is null) return;
        await _live.EndAsync().ConfigureAwait(false);
        Scout.Dispose();
        Rows.Dispose();
    }
}
