using System.Data;
using System.Data.Common;
using System.Diagnostics.CodeAnalysis;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>
/// ADO.NET on a database of DataSync, in every tab: a <see cref="SqliteConnection"/> whose asynchronous members wait for leave to write, and return
/// when what they wrote is durable and shown here. Dapper, EF Core and other code that uses them works unchanged.
/// </summary>
/// <remarks>
/// <para>
/// A command outside of a transaction that writes is a commit of its own; it is run again where another tab's came first, so its outcome is exact.
/// What its reader returns (<c>INSERT … RETURNING</c>) is durable already. <see cref="DbConnection.BeginTransactionAsync(CancellationToken)"/> waits for the write turn, so
/// no other tab writes until the transaction ends; it must be ended soon (<see cref="PipelineOptions.TurnDeadline"/> after its last command others
/// may be let in), and its commit then fails with a <see cref="StaleCommitException"/>. Exceptions whose <see cref="DbException.IsTransient"/> is true have changed nothing:
/// run the same work again.
/// </para>
/// <para>
/// Synchronous members cannot wait. They read in every tab, work within a transaction that was begun asynchronously, and write in the leader's tab
/// while nobody else does; such a write is durable after <see cref="DataSyncDatabase.ForceSyncAsync"/> and counts as dirty until then. Elsewhere they throw a
/// <see cref="SqliteException"/> (<see cref="VfsFailure.BusyRefused"/>) that names the asynchronous member.
/// </para>
/// <para>
/// One caller at a time, as every <see cref="DbConnection"/>; open as many as you like, and dispose them before the database. Make commands with
/// <see cref="CreateCommand"/>: a <see cref="SqliteCommand"/> that was constructed otherwise does not wait. In the browser one that is closed leaves its SQLite
/// handle to the next, unless it changed what that one would notice (a pragma, a temporary table, a hook), or its connection string says <c>Pooling=False</c>.
/// </para>
/// </remarks>
public sealed class DataSyncConnection : SqliteConnection
{
    private readonly DataSyncFactory? _factory;
    private readonly string _name;
    private readonly bool _hasFunctions;
    private readonly List<SqliteDataReader> _readers = [];
    private DataSyncDatabase? _database;
    private PooledHandle? _handle;
    private string? _attached;
    private DataSyncTransaction? _transaction;
    private WriteUnit? _unit;

    /// <summary>Makes a connection to a database that is open; it is not opened yet.</summary>
    public DataSyncConnection(DataSyncDatabase database)
        : base(PooledHandle.ConnectionStringFor((database ?? throw new ArgumentNullException(nameof(database))).Name)) => (_database, _name) = (database, database.Name);

    /// <summary>Makes a connection that opens the database first, or shares it where the factory has it open.</summary>
    /// <param name="factory">Of this tab.</param>
    /// <param name="name">The database; null for <see cref="DataSyncOptions.DefaultDatabase"/>.</param>
    public DataSyncConnection(DataSyncFactory factory, string? name = null)
        : this(factory, name, hasFunctions: false)
    {
    }

    /// <summary>As the other; <paramref name="hasFunctions"/> for EF Core's, which has functions of its own.</summary>
    internal DataSyncConnection(DataSyncFactory factory, string? name, bool hasFunctions)
        : base(PooledHandle.ConnectionStringFor(name ?? (factory ?? throw new ArgumentNullException(nameof(factory))).DefaultDatabase, hasFunctions)) =>
        (_factory, _name, _hasFunctions) = (factory, name ?? factory.DefaultDatabase, hasFunctions);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">It names another database: a connection stays with its own.</exception>
    [AllowNull]
    public override string ConnectionString
    {
        get => base.ConnectionString;
        set
        {
            // The base sets it before there is a name, and says that it cannot be set while it is open.
            if (_name is not null && State == ConnectionState.Closed && !string.IsNullOrEmpty(value) && new SqliteConnectionStringBuilder(value).DataSource is var source && source != _name && source != _database?.Name)
                throw new ArgumentException($"A connection of DataSync stays with its database, '{_name}'; make another one for '{source}'.", nameof(value));
            base.ConnectionString = value;
        }
    }

    /// <summary>The database; null before the connection was opened for the first time.</summary>
    public DataSyncDatabase? DataSync => _database;

    /// <summary>Which schema it has in memory.</summary>
    internal SchemaWatch Schema => _handle!.Schema;

    /// <summary>Is given the text of each command that runs.</summary>
    internal Action<string>? CommandRuns { get; set; }

    /// <summary>Opens it, where the database is open in this tab.</summary>
    /// <exception cref="InvalidOperationException">It is not: <see cref="OpenAsync"/> opens it.</exception>
    /// <exception cref="ObjectDisposedException">The database was closed.</exception>
    public override void Open()
    {
        if (State == ConnectionState.Open) return;
        Attach(_factory is null ? _database! : _factory.FindOpen(_name) ?? throw new InvalidOperationException(
            $"The database '{_name}' is not open in this tab yet, and opening it takes time: await OpenAsync (or DataSyncFactory.OpenAsync when the app starts)."));
    }

    /// <summary>Opens the database where it is not open in this tab, and the connection, and returns when some tab leads, so that writes can follow at once.</summary>
    /// <inheritdoc cref="DataSyncFactory.OpenAsync(string, CancellationToken)" path="/exception"/>
    public override async Task OpenAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (State == ConnectionState.Open) return;
        var database = _factory is null ? _database! : await _factory.OpenAsync(_name, cancellationToken).ConfigureAwait(false);
        await database.WaitForLeaderAsync(cancellationToken).ConfigureAwait(false);
        if (State == ConnectionState.Open) return;
        await database.RunLoadedAsync(
            () =>
            {
                Attach(database);
                return true;
            },
            cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Closes it; a transaction that is open is rolled back.</summary>
    public override void Close()
    {
        var unit = _unit;
        (_unit, _transaction) = (null, null);
        try
        {
            if (State == ConnectionState.Open) Detach();
        }
        finally
        {
            unit?.End();
        }
    }

    /// <summary>Makes a command that waits where it has to.</summary>
    public override SqliteCommand CreateCommand() => new DataSyncCommand { Connection = this, CommandTimeout = DefaultTimeout, Transaction = Transaction };

    /// <inheritdoc cref="SqliteConnection.BeginTransaction(IsolationLevel, bool)"/>
    /// <exception cref="SqliteException">This tab may not write at this moment: <see cref="DbConnection.BeginTransactionAsync(CancellationToken)"/> waits until it may.</exception>
    public override SqliteTransaction BeginTransaction(IsolationLevel isolationLevel, bool deferred)
    {
        try
        {
            return base.BeginTransaction(isolationLevel, deferred);
        }
        catch (SqliteException error) when (error.SqliteExtendedErrorCode == SqliteResult.BusyRefused)
        {
            throw Refused(nameof(BeginTransactionAsync), error);
        }
    }

    /// <summary>Waits for the write turn, then begins a transaction that holds it. <see cref="DbTransaction.CommitAsync"/> returns when it is durable.</summary>
    /// <exception cref="NoLeaderException">The turn did not come in time.</exception>
    /// <exception cref="StorageException">The database has stopped.</exception>
    /// <exception cref="InvalidOperationException">The connection is not open, or has a transaction.</exception>
    protected override async ValueTask<DbTransaction> BeginDbTransactionAsync(IsolationLevel isolationLevel, CancellationToken cancellationToken)
    {
        var database = OpenDatabase(nameof(BeginTransactionAsync));
        if (Transaction is not null || _unit is { IsHeldByCaller: false }) return base.BeginTransaction(isolationLevel, deferred: false); // says what is wrong
        var inner = _unit is not null
            ? base.BeginTransaction(isolationLevel, deferred: false)
            : await database.BeginUnitAsync(this, () => base.BeginTransaction(isolationLevel, deferred: false), cancellationToken).ConfigureAwait(false);
        return _transaction = new DataSyncTransaction(this, inner, _unit!);
    }

    /// <summary>
    /// Takes the write turn for several transactions of this connection in a row. What they commit is sent when this ends, all of it together: a tab that
    /// dies before has changed nothing.
    /// </summary>
    internal async Task HoldTurnAsync(CancellationToken cancellationToken)
    {
        var database = OpenDatabase(nameof(HoldTurnAsync));
        if (_unit is not null || Transaction is not null) throw new InvalidOperationException("A transaction of this connection is open.");
        await database.BeginUnitAsync(this, () => true, cancellationToken).ConfigureAwait(false);
        _unit!.IsHeldByCaller = true;
    }

    /// <summary>Gives the turn back, and returns when all that was committed under it is durable.</summary>
    /// <exception cref="StaleCommitException">Another tab was let in meanwhile. Nothing was changed.</exception>
    internal async Task ReleaseTurnAsync()
    {
        if (_unit is not { IsHeldByCaller: true } unit) return;
        _unit = null;
        await unit.EndAsync().ConfigureAwait(false);
        _database!.EndLoads(this);
    }

    /// <summary>Gives the turn back, and nothing of what was done under it is kept.</summary>
    internal void DropTurn()
    {
        if (_unit is not { } unit) return;
        _unit = null;
        if (Transaction is { } transaction) DataSyncDatabase.End(transaction);
        this.RollBack();
        unit.Abandon();
        unit.End();
    }

    /// <summary>Runs a command that may have to wait, and again where another tab commits first.</summary>
    internal Task<T> RunAsync<T>(string sql, Func<T> run, CancellationToken cancellationToken) =>
        _database is { IsOnDemand: true } database ? RunLoadedAsync(database, sql, run, cancellationToken) : RunOnceAsync(sql, run, cancellationToken);

    private async Task<T> RunLoadedAsync<T>(DataSyncDatabase database, string sql, Func<T> run, CancellationToken cancellationToken)
    {
        using var loading = database.NewLoading();
        while (true)
        {
            var isWithin = _unit is not null || (State == ConnectionState.Open && this.InTransaction());
            try
            {
                var result = await RunOnceAsync(sql, run, cancellationToken).ConfigureAwait(false);
                if (isWithin && _unit is null && !this.InTransaction()) database.EndLoads(this); // it was a COMMIT, or ended the transaction otherwise
                return result;
            }
            catch (Exception error) when (loading.HasMissed && error is SqliteException or NotResidentException)
            {
                if (!isWithin) await loading.LoadAsync(cancellationToken).ConfigureAwait(false);
                else if (error is SqliteException { SqliteErrorCode: not SqliteResult.IoError }) throw;
                else throw await database.LoadForTransactionAsync(this, error, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Whether something of the database is not in memory, so that a reader could come upon it in the middle.</summary>
    internal bool IsPartial => _unit is null && _database?.IsPartial == true && !this.InTransaction();

    private async Task<T> RunOnceAsync<T>(string sql, Func<T> run, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        var database = OpenDatabase(nameof(SqliteCommand.ExecuteNonQueryAsync));

        // Without a handle it is being opened: a handler of StateChange sets it up.
        if (_handle is { } handle && _unit is null && !this.InTransaction())
        {
            switch (handle.Kinds.Of(this, sql))
            {
                case CommandKind.Writes:
                    return await database.CommitOnAsync(this, sql, run, cancellationToken).ConfigureAwait(false);
                case CommandKind.Begins:
                    var result = await database.BeginUnitAsync(this, run, cancellationToken).ConfigureAwait(false);
                    await EndByTextAsync().ConfigureAwait(false);
                    return result;
                default:
                    await database.WaitForCleanImageAsync(cancellationToken).ConfigureAwait(false);
                    break;
            }
        }

        _unit?.Touch();
        try
        {
            using var interruption = this.InterruptOn(cancellationToken);
            return DataSyncDatabase.RunResident(run);
        }
        catch (SqliteException error) when (CachedConnection.IsInterrupt(error, cancellationToken))
        {
            throw new OperationCanceledException(error.Message, error, cancellationToken);
        }
        finally
        {
            _unit?.Touch();
            await EndByTextAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Runs a command that cannot wait.</summary>
    internal T Run<T>(string sql, string asynchronous, Func<T> run)
    {
        if (_handle is null || _unit is not null || this.InTransaction() || _handle.Kinds.Of(this, sql) == CommandKind.Reads)
        {
            _unit?.Touch();
            var result = RunResident(run);
            if (EndedByText() is { } unit) unit.End();
            return result;
        }

        if (!_database!.IsLeading) throw Refused(asynchronous, null);
        try
        {
            return RunResident(run);
        }
        catch (SqliteException error) when (error.SqliteExtendedErrorCode == SqliteResult.BusyRefused)
        {
            throw Refused(asynchronous, error);
        }
    }

    private static T RunResident<T>(Func<T> run)
    {
        try
        {
            return DataSyncDatabase.RunResident(run);
        }
        catch (SqliteException error) when (error.SqliteExtendedErrorCode == VfsFailure.NotResident)
        {
            throw new NotResidentException(null, error);
        }
    }

    /// <summary>Whether a command is a commit of its own.</summary>
    internal bool IsCommit(string sql) => _handle is not null && _unit is null && !this.InTransaction() && _handle.Kinds.Of(this, sql) == CommandKind.Writes;

    /// <summary>Whether it holds SQLite's shared lock, or more, as far as can be told: it is in a transaction, or in the middle of a query.</summary>
    internal bool IsReading
    {
        get
        {
            _readers.RemoveAll(reader => reader.IsClosed);
            return _readers.Count > 0 || this.InTransaction();
        }
    }

    /// <summary>A query began.</summary>
    internal SqliteDataReader Watch(SqliteDataReader reader)
    {
        _readers.RemoveAll(open => open.IsClosed);
        _readers.Add(reader);
        return reader;
    }

    /// <summary>From here on commands run under this leave to write; null: under none.</summary>
    internal void Adopt(WriteUnit? unit) => _unit = unit;

    /// <summary>The transaction that was begun asynchronously has ended.</summary>
    internal void OnEnded(DataSyncTransaction transaction)
    {
        if (_transaction != transaction) return;
        _transaction = null;
        if (_unit is { IsHeldByCaller: false }) _unit = null;
    }

    /// <summary>The one that a command is given; null where it is of another kind.</summary>
    internal DataSyncTransaction? WrapperOf(SqliteTransaction? inner) => inner is not null && _transaction?.Inner == inner ? _transaction : null;

    // A caller's own text BEGIN … COMMIT. The last of it sends what it wrote.
    private WriteUnit? EndedByText()
    {
        if (_unit is not { IsHeldByCaller: false } unit || _transaction is not null || this.InTransaction()) return null;
        _unit = null;
        return unit;
    }

    private Task EndByTextAsync() => EndedByText()?.EndAsync() ?? Task.CompletedTask;

    private DataSyncDatabase OpenDatabase(string member) =>
        State == ConnectionState.Open ? _database! : throw new InvalidOperationException($"{member} can only be called when the connection is open.");

    private void Attach(DataSyncDatabase database)
    {
        database.ThrowIfUnreadable();
        if (_database != database || ConnectionString != _attached)
        {
            base.ConnectionString = ConnectionString == PooledHandle.ConnectionStringFor(_name, _hasFunctions)
                ? PooledHandle.ConnectionStringFor(database.Name, _hasFunctions)
                : PooledHandle.ConnectionStringFrom(ConnectionString, database.Name);
            (_database, _attached) = (database, ConnectionString);
        }

        base.Open();
        try
        {
            while ((_handle = PooledHandle.Take(this, database)) is null)
            {
                // With none left in the pool the next one is new, and taken.
                ClearPool(this);
                base.Close();
                base.Open();
            }
        }
        catch
        {
            ClearPool(this);
            base.Close();
            throw;
        }
    }

    // Microsoft.Data.Sqlite keeps what is below for the next one, as long as nobody could notice.
    private void Detach()
    {
        if (Transaction is { } transaction) DataSyncDatabase.End(transaction);
        this.RollBack();
        if (_handle?.TryHandOver(this) != true) ClearPool(this);
        _handle = null;
        base.Close();
    }

    private SqliteException Refused(string asynchronous, SqliteException? error) => new(
        $"This tab may not write at this moment without waiting ({(error is not null ? VfsFailure.Last ?? error.Message : _database!.Coordinator.LeaderId is null ? "no tab leads yet" : "another tab leads")}). Await {asynchronous}: it waits, in every tab.",
        SqliteResult.Busy,
        SqliteResult.BusyRefused);
}
