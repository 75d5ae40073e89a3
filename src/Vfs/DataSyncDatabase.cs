using System.Diagnostics.CodeAnalysis;
using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace DataSync.Vfs;

/// <summary>
/// A SQLite database that several tabs have open at once. Reads are local; a write runs here and travels to the leader as the
/// blocks that it changed (plain SQL runs there while other tabs write as well), and returns when it is durable and shown here (under <see cref="Durability.Deferred"/>, when it
/// is shown here; its <see cref="ExecuteResult.Marker"/> is then only hoped for, and its work may be run again later).
/// </summary>
/// <remarks>
/// Get one from <see cref="DataSyncFactory"/>. Members may be called from any thread; in the browser there is one. Errors
/// of SQL are <see cref="SqliteException"/>s and leave nothing behind; errors of storage are <see cref="StorageException"/>s.
/// </remarks>
public sealed partial class DataSyncDatabase : IAsyncDisposable
{
    // As long as a lease: a leader that is gone is replaced by then.
    private static readonly TimeSpan DrainTimeout = TimeSpan.FromSeconds(5);

    private readonly CommitPipeline _pipeline;
    private readonly DataSyncOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Lock _readLock = new(), _writerLock = new(); // the latter: against its end while another one's answer is noted
    private CachedConnection? _writer, _reader;
    private readonly TaskCompletionSource _closing = new();
    private Task _interactive = Task.CompletedTask;
    private bool _closed;

    private DataSyncDatabase(string name, CommitPipeline pipeline, TabCoordinator coordinator, DataSyncOptions options, TimeProvider time, ILogger logger)
    {
        (Name, _pipeline, Coordinator, _options, _time, _logger) = (name, pipeline, coordinator, options, time, logger);
        ISyncTriggers triggers = OperatingSystem.IsBrowser() ? new BrowserSyncTriggers() : new TimerSyncTriggers(time);
        AutoSync = new AutoSyncManager(pipeline, name, options.Durability, options.AutoSync, triggers, logger, options.MaxAttempts);
        pipeline.Committed += (_, e) => RaiseOutsideWork(() => RaiseCommitted(e));
        pipeline.Faulted += (_, e) =>
        {
            _ = AutoSync.CloseJournalAsync(); // what is kept is for the others now, also for this tab's next one, while the application still reads here
            RaiseOutsideWork(() => RaiseFaulted(e));
        };
    }

    /// <summary>
    /// A commit of any tab became durable and is shown here. Raised in the order of the markers; query as you like in the
    /// handler. What a handler throws is logged, and keeps nothing else from going on.
    /// </summary>
    public event EventHandler<CommittedEventArgs>? Committed;

    /// <summary>The database stopped for good (deleted by the user, storage lost); open it again.</summary>
    public event EventHandler<StorageFaultedEventArgs>? Faulted;

    /// <summary>
    /// The database's name; as <c>Data Source</c> it opens connections of your own. Where several tabs of one process have the same
    /// database, or databases of the same name, open, all but the first have a number behind it: <c>app.db (2)</c>.
    /// </summary>
    public string Name { get; private set; }

    /// <summary>Who leads, which tabs there are, and asking for leadership.</summary>
    public TabCoordinator Coordinator { get; }

    /// <summary>When writes become durable: what is not yet, events, backpressure.</summary>
    public AutoSyncManager AutoSync { get; }

    /// <summary>The last durable commit that this tab shows.</summary>
    public long Marker => _pipeline.Position.Marker;

    /// <summary>What was found when the store was opened.</summary>
    public RecoveryReport? RecoveryReport => _pipeline.RecoveryReport;

    /// <summary>
    /// Opens connections of your own with Microsoft.Data.Sqlite (and what is built on it). They read in any tab; they write
    /// only in the leader's, and what they write is durable after <see cref="ForceSyncAsync"/>. Dispose them before this.
    /// </summary>
    public string ConnectionString => CachedConnection.ConnectionString(Name);

    /// <summary>Opens a database over given parts. Takes ownership of the parts.</summary>
    /// <param name="name">The name to register; see <see cref="Name"/>.</param>
    /// <param name="store">Where commits become durable.</param>
    /// <param name="channel">Joins the tabs.</param>
    /// <param name="coordinator">Elects the leader; not yet joined.</param>
    /// <param name="options">Null for the defaults.</param>
    /// <param name="timeProvider">Null for the system's clock.</param>
    /// <param name="logger">Null for none.</param>
    /// <param name="cancellationToken">Stops opening.</param>
    /// <exception cref="StorageException">The store cannot be opened or read; the message says why and what to do.</exception>
    internal static Task<DataSyncDatabase> OpenAsync(
        string name, IBlockStore store, ICommitChannel channel, TabCoordinator coordinator, DataSyncOptions? options = null,
        TimeProvider? timeProvider = null, ILogger? logger = null, CancellationToken cancellationToken = default) =>
        OpenAsync(name, store, channel, coordinator, options ?? new(), timeProvider ?? TimeProvider.System, logger ?? NullLogger.Instance, Task.CompletedTask, null, cancellationToken);

    /// <summary>As the other; SQLite may still be loading while the store is opened and read.</summary>
    internal static async Task<DataSyncDatabase> OpenAsync(
        string name, IBlockStore store, ICommitChannel channel, TabCoordinator coordinator, DataSyncOptions options,
        TimeProvider time, ILogger log, Task sqlite, IDeferredJournal? journal, CancellationToken cancellationToken)
    {
        DataSyncOptions.CheckName(name);
        options.Validate();
        var pipeline = new CommitPipeline(store, channel, coordinator, options.Pipeline, time, log);
        var database = new DataSyncDatabase(name, pipeline, coordinator, options, time, log);
        if (journal is not null) database.AutoSync.KeepIn(journal, JournalBody.MarkFailed);
        try
        {
            // First, so that this hears before the coordinator that the page is left: then nobody leads here any more.
            await database.AutoSync.StartAsync(cancellationToken).ConfigureAwait(false);
            await pipeline.OpenInPartAsync(options.Recovery, options.Residency, cancellationToken).ConfigureAwait(false);
            await sqlite.WaitAsync(cancellationToken).ConfigureAwait(false);
            if (log is not NullLogger) BlockVfs.Shared.Logger = log;
            database.Name = BlockVfs.Shared.RegisterBeside(name, pipeline.Storage);
            await database.RunLoadedAsync(database.OpenConnections, cancellationToken).ConfigureAwait(false);
            database.OpenLive();
            coordinator.Heartbeat += (_, _) =>
            {
                database.AutoSync.MaybeAutoSync();
                database.EndOverdueLoads();
            };
            await database.RunKeptAsync(cancellationToken).ConfigureAwait(false);
            return database;
        }
        catch
        {
            await database.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>
    /// Runs one or several statements as one transaction, in any tab, and returns when it is durable and shown here. If
    /// another tab commits first, it is run again.
    /// </summary>
    /// <param name="sql">The statements.</param>
    /// <param name="parameters">
    /// Null, an object whose properties are the parameters, a dictionary, a sequence of <see cref="SqliteParameter"/>s, or a
    /// sequence of values for <c>?</c>.
    /// </param>
    /// <param name="cancellationToken">
    /// Stops waiting for leave to write, and a statement that runs; a commit on its way is not taken back. (A deferred write's
    /// statements run to their end.)
    /// </param>
    /// <exception cref="OperationCanceledException">The token was cancelled, at the latest when leave to write was given; nothing was changed.</exception>
    /// <exception cref="InvalidOperationException">
    /// The statements begin a transaction that they do not end, or end the one that they run in; or the call comes from within the
    /// work of a <c>WriteAsync</c>. Nothing was changed.
    /// </exception>
    /// <exception cref="SqliteException">The SQL failed; nothing was changed.</exception>
    /// <exception cref="StorageException">It could not be made durable; nothing was changed, unless the message says that the outcome is unknown.</exception>
    public Task<ExecuteResult> ExecuteAsync(string sql, object? parameters = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sql);

        // One statement is a transaction of its own (and some, such as VACUUM, refuse to be in another).
        return RunAsync([new(sql, parameters, IsMany: false)], writer => writer.Execute(sql, parameters), writer => writer.HasSeveral(sql), cancellationToken);
    }

    /// <summary>Runs several statements, each with parameters of its own, as one transaction: all or nothing.</summary>
    /// <param name="statements">The statements in order.</param>
    /// <param name="cancellationToken">Stops waiting for leave to write.</param>
    /// <inheritdoc cref="ExecuteAsync(string, object?, CancellationToken)" path="/exception"/>
    public Task<ExecuteResult> ExecuteAsync(IReadOnlyList<SqlStatement> statements, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(statements);
        return RunAsync(
            [.. statements.Select(statement => new TravellingStatement(statement.Sql, statement.Parameters, IsMany: false))],
            writer =>
            {
                foreach (var (sql, parameters) in statements) writer.Execute(sql, parameters);
            },
            NeedsTransaction,
            cancellationToken);
    }

    /// <summary>
    /// Runs one statement once for each set of parameters, as one transaction: the fastest way to write many rows. In the browser, unless writes are deferred, thousands of
    /// runs take the write turn, and let the page do other things every few milliseconds.
    /// </summary>
    /// <param name="sql">The statement.</param>
    /// <param name="parameterSets">Each as for <see cref="ExecuteAsync(string, object?, CancellationToken)"/>. Gone through anew when the transaction is run again.</param>
    /// <param name="cancellationToken">Stops waiting for leave to write.</param>
    /// <exception cref="ArgumentException">The text holds several statements, or none.</exception>
    /// <inheritdoc cref="ExecuteAsync(string, object?, CancellationToken)" path="/exception"/>
    public Task<ExecuteResult> ExecuteManyAsync(string sql, IReadOnlyCollection<object?> parameterSets, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sql);
        ArgumentNullException.ThrowIfNull(parameterSets);
        return IsLarge(parameterSets)
            ? ExecuteInPartsAsync(sql, parameterSets, cancellationToken)
            : RunAsync([new(sql, parameterSets, IsMany: true)], writer => writer.ExecuteMany(sql, parameterSets), NeedsTransaction, cancellationToken);
    }

    /// <summary>
    /// Runs some work as one transaction, in any tab, and returns when it is durable and shown here. If another tab commits
    /// first, it is run again: it must not have effects beside the database. It is in a transaction already, which commands need not name; savepoints work.
    /// </summary>
    /// <param name="work">Works on a connection that is valid only during the call. What it throws rolls back and comes out here.</param>
    /// <param name="cancellationToken">Stops waiting for leave to write.</param>
    /// <inheritdoc cref="ExecuteAsync(string, object?, CancellationToken)" path="/exception"/>
    public Task<ExecuteResult> WriteAsync(Action<SqliteConnection> work, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(work);
        return RunAsync([], writer => Scoped(writer, () => work(writer.Connection)), NeedsTransaction, cancellationToken);
    }

    /// <remarks>
    /// The transaction is for code that asks for one, such as EF Core's <c>UseTransaction</c>; commands must carry it, as those of <see cref="SqliteConnection.CreateCommand"/> do. Do
    /// not end it: that is done here.
    /// </remarks>
    /// <inheritdoc cref="WriteAsync(Action{SqliteConnection}, CancellationToken)"/>
    public Task<ExecuteResult> WriteAsync(Action<SqliteConnection, SqliteTransaction> work, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(work);
        return RunWithTransactionAsync(work, cancellationToken);
    }

    /// <summary>
    /// Runs some asynchronous work as one transaction. It has the write turn, so that no other tab writes meanwhile, for
    /// at most <see cref="PipelineOptions.TurnDeadline"/>; after that it may be run again. Within it <see cref="QueryAsync{T}"/> reads
    /// what the work has written; other writes wait for its end, and must not be waited for by it.
    /// </summary>
    /// <inheritdoc cref="WriteAsync(Action{SqliteConnection}, CancellationToken)"/>
    public Task<ExecuteResult> WriteAsync(Func<SqliteConnection, Task> work, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(work);
        return WriteInteractivelyAsync(BeginPlain, (connection, _) => work(connection), cancellationToken);
    }

    /// <inheritdoc cref="WriteAsync(Func{SqliteConnection, Task}, CancellationToken)" path="/summary"/>
    /// <inheritdoc cref="WriteAsync(Action{SqliteConnection, SqliteTransaction}, CancellationToken)"/>
    public Task<ExecuteResult> WriteAsync(Func<SqliteConnection, SqliteTransaction, Task> work, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(work);
        return WriteInteractivelyAsync(BeginWithTransaction, (connection, transaction) => work(connection, transaction!), cancellationToken);
    }

    /// <inheritdoc cref="AutoSyncManager.SyncAsync"/>
    public Task SyncAsync(CancellationToken cancellationToken = default) => AutoSync.SyncAsync(cancellationToken);

    /// <inheritdoc cref="AutoSyncManager.ForceSyncAsync"/>
    public Task ForceSyncAsync(CancellationToken cancellationToken = default) => AutoSync.ForceSyncAsync(cancellationToken);

    /// <inheritdoc cref="AutoSyncManager.DrainAndShutdownAsync"/>
    public Task DrainAndShutdownAsync(CancellationToken cancellationToken = default)
    {
        ThrowIfWithinWork();
        return AutoSync.DrainAndShutdownAsync(cancellationToken);
    }

    /// <inheritdoc cref="CommitPipeline.VerifyAsync"/>
    public Task<RecoveryReport> VerifyAsync(
        RecoveryMode mode = RecoveryMode.Full, IProgress<RecoveryProgress>? progress = null, CancellationToken cancellationToken = default) =>
        _pipeline.VerifyAsync(mode, progress, cancellationToken);

    /// <summary>
    /// A block's version (the marker of the commit that last wrote it), checksum and time, as this tab shows the database; all zero
    /// where nothing was ever written. A freed block keeps the commit that freed it.
    /// </summary>
    /// <param name="block">Offset in the database file / 4096; from 0 to 2^32 - 1.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="block"/> is out of its range.</exception>
    /// <exception cref="NotResidentException">It is not in memory (<see cref="Residency.OnDemand"/>).</exception>
    /// <exception cref="StorageException">The database has stopped.</exception>
    public BlockMetadata GetBlockMetadata(long block)
    {
        ThrowIfUnusable();
        return _pipeline.Storage.GetMetadata(block);
    }

    /// <summary>
    /// Closes the database in this tab: waits up to 5 s for what is on its way, then leaves, so that another tab leads at
    /// once. Connections of your own must be disposed before. Again: waits for the first.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _closed, true))
        {
            await _closing.Task.ConfigureAwait(false);
            return;
        }

        try
        {
            await CloseAsync().ConfigureAwait(false);
        }
        finally
        {
            _closing.SetResult();
        }
    }

    /// <summary>Whoever wrote knows: their own task failed or will, or SyncFailed was raised. It is closed all the same.</summary>
    private static async Task EndQuietlyAsync(Task ending) => await ending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);

    internal bool IsUsable => !_closed && _pipeline.Fault is null;

    private CachedConnection Writer => _writer ?? throw new ObjectDisposedException(Name, "The database was closed in this tab. Open it again.");

    private static bool NeedsTransaction(CachedConnection writer) => true;

    private async Task CloseAsync()
    {
        using (var timeout = new CancellationTokenSource(DrainTimeout, _time))
        {
            if (!AutoSync.MayLeave) await EndQuietlyAsync(AutoSync.ForceSyncAsync(timeout.Token)).ConfigureAwait(false);

            AutoSync.BeginClosing();

            // Nobody may be in the middle of a statement when its connection goes; work that closes its own database is.
            var stopped = _pipeline.StopWritersAsync();
            if (Within is null) await EndQuietlyAsync(stopped.WaitAsync(timeout.Token)).ConfigureAwait(false);
        }

        await CloseLiveAsync().ConfigureAwait(false);
        AutoSync.Dispose();
        lock (_writerLock) _writer?.Dispose();
        _host?.Dispose();
        lock (_readLock) _reader?.Dispose();
        ClearPools();
        if (_writer is not null) BlockVfs.Shared.Unregister(Name);
        try
        {
            await _pipeline.DisposeAsync().ConfigureAwait(false);
        }
        finally
        {
            await Coordinator.DisposeAsync().ConfigureAwait(false);
            await AutoSync.CloseJournalAsync().ConfigureAwait(false);
        }
    }

    private bool OpenConnections()
    {
        _writer ??= new CachedConnection(Name, _options.ConfigureConnection);
        _reader = new CachedConnection(Name, _options.ConfigureConnection, isReader: true);
        ServeStatements();
        return true;
    }

    internal int LogRecords => _pipeline.LogRecords;

    private void ThrowIfUnusable()
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        _pipeline.ThrowIfUnusable();
    }
}
