using DataSync.Storage;
using DataSync.Vfs.Browser;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

// How a write runs: leave to write, the transaction, its end, and once more if another tab was first.
public sealed partial class DataSyncDatabase
{
    private const string Begin = "BEGIN IMMEDIATE", Commit = "COMMIT";

    /// <summary>How long work of its own keeps the page from other things at a time.</summary>
    private static readonly TimeSpan PageSlice = TimeSpan.FromMilliseconds(8);

    private readonly AsyncLocal<WorkScope?> _scope = new();

    /// <inheritdoc cref="RunAsync"/>
    private async Task<ExecuteResult> RunHereAsync(
        TravellingStatement[] statements, Action<CachedConnection> work, Func<CachedConnection, bool> needsTransaction, UndoUnit? unit, CancellationToken cancellationToken)
    {
        var written = Describe(statements);
        var (result, marker) = await CommitAsync(
            writer =>
            {
                var (changes, top) = (writer.TotalChanges, _pipeline.Storage.Top);
                var hasSeveral = needsTransaction(writer);
                if (statements.Length != 1 || (hasSeveral && !statements[0].IsMany)) _traits = null; // it can do anything to the connection
                var done = Transact(writer, hasSeveral || written?.Body is not null, () =>
                {
                    if (WasRun(writer, written)) return default;
                    using var recording = BeginRecording(writer, unit);
                    work(writer);
                    var recorded = StoreRecording(writer, recording) + NoteRun(writer, written, changes);
                    return new ExecuteResult(writer.TotalChanges - changes - recorded, writer.LastInsertRowId, 0);
                });
                NoteTraits(writer, hasCommitted: _pipeline.Storage.Top != top);
                return done;
            },
            written,
            cancellationToken).ConfigureAwait(false);
        return result with { Marker = marker };
    }

    private T Transact<T>(CachedConnection writer, bool needsTransaction, Func<T> work) =>
        Transact(writer.Connection, writer.Schema, writer.RunText, needsTransaction, work);

    /// <summary>Runs work on the database as it is now, and, unless it is a transaction by itself, as one.</summary>
    /// <param name="connection">Where it runs.</param>
    /// <param name="schema">Which schema that has in memory.</param>
    /// <param name="execute">Runs a text there.</param>
    /// <param name="needsTransaction">Whether it is to be made one.</param>
    /// <param name="work">The work.</param>
    private T Transact<T>(SqliteConnection connection, SchemaWatch schema, Action<string> execute, bool needsTransaction, Func<T> work)
    {
        if (needsTransaction) execute(Begin);
        BeginWork(schema, execute);
        var result = work();
        CheckTransaction(connection, needsTransaction);
        if (needsTransaction) execute(Commit);
        return result;
    }

    private void BeginWork(SchemaWatch schema, Action<string> execute)
    {
        _pipeline.BeginWork();
        schema.Check(_pipeline.Storage, execute);
    }

    private async Task<ExecuteResult> RunWithTransactionAsync(Action<SqliteConnection, SqliteTransaction> work, CancellationToken cancellationToken, UndoUnit? unit = null)
    {
        var (result, marker) = await CommitAsync(
            writer =>
            {
                _traits = null; // it can do anything to the connection
                return TransactWith(writer, work, unit);
            },
            written: null,
            cancellationToken).ConfigureAwait(false);
        return result with { Marker = marker };
    }

    private static SqliteTransaction? BeginPlain(CachedConnection writer)
    {
        writer.Execute(Begin);
        return null;
    }

    private static SqliteTransaction? BeginWithTransaction(CachedConnection writer) => writer.Connection.BeginTransaction(deferred: false);

    /// <summary>The same for work of the application on the connection, which has a <see cref="SqliteTransaction"/> then.</summary>
    private ExecuteResult TransactWith(CachedConnection writer, Action<SqliteConnection, SqliteTransaction> work, UndoUnit? unit)
    {
        var before = writer.TotalChanges;
        var transaction = writer.Connection.BeginTransaction(deferred: false);
        try
        {
            BeginWork(writer.Schema, writer.RunText);
            using var recording = BeginRecording(writer, unit);
            Scoped(writer, () => work(writer.Connection, transaction));
            CheckTransaction(writer.Connection, isBegun: true);
            var recorded = StoreRecording(writer, recording);
            transaction.Commit();
            return new ExecuteResult(writer.TotalChanges - before - recorded, writer.LastInsertRowId, 0);
        }
        finally
        {
            End(transaction);
        }
    }

    private void Scoped(CachedConnection writer, Action work)
    {
        var scope = _scope.Value = new WorkScope(writer);
        try
        {
            work();
        }
        finally
        {
            (scope.IsOver, _scope.Value) = (true, null);
        }
    }

    /// <summary>Rolls back what was not committed. The connection is free for another transaction in any case.</summary>
    internal static void End(SqliteTransaction transaction)
    {
        try
        {
            transaction.Dispose();
        }
        catch (SqliteException)
        {
            // The work had ended it by a statement of its own, so there was nothing to roll back.
        }
    }

    /// <summary>After work that succeeded: its transaction is as it was begun.</summary>
    private void CheckTransaction(SqliteConnection connection, bool isBegun)
    {
        if (connection.InTransaction() != isBegun || (isBegun && _pipeline.EndedTransactions > 0))
        {
            throw new InvalidOperationException(
                isBegun
                    ? "The work ended the transaction that it runs in (COMMIT, END or ROLLBACK), so nothing of it was kept. WriteAsync and ExecuteAsync commit by themselves; for a part that may fail use SAVEPOINT."
                    : "The statement began a transaction (BEGIN or SAVEPOINT) and nothing ends it, so it was rolled back. To run several statements as one transaction use WriteAsync.");
        }
    }

    /// <summary>Counts a write as begun.</summary>
    /// <exception cref="InvalidOperationException">The work of a WriteAsync asks for another write, which would wait for its end for ever.</exception>
    private AutoSyncManager.Admission AdmitWrite(CancellationToken cancellationToken)
    {
        ThrowIfUnusable();
        ThrowIfWithinWork();
        cancellationToken.ThrowIfCancellationRequested();
        return AutoSync.Admit();
    }

    internal void ThrowIfWithinWork()
    {
        if (Within is not null)
        {
            throw new InvalidOperationException(
                "The work of a WriteAsync called back into its own database, which would wait for the work to end. Within the work use the connection that it is given; QueryAsync works there, too.");
        }
    }

    /// <summary>The work within which this code runs; null outside of any.</summary>
    private WorkScope? Within => _scope.Value is { IsOver: false } scope ? scope : null;

    // Whoever brings news may be in the middle of some work; who hears of it is not.
    private void RaiseOutsideWork(Action raise)
    {
        var within = _scope.Value;
        if (within is not null) _scope.Value = null;
        raise();
        if (within is not null) _scope.Value = within;
    }

    /// <summary>Runs a transaction that may be run again, until it is committed or fails.</summary>
    private Task<(T Result, long Marker)> CommitAsync<T>(Func<CachedConnection, T> work, DeferredStatements? written, CancellationToken cancellationToken) =>
        AutoSync.Durability == Durability.Deferred && _pipeline.TakesCommits
            ? CommitDeferredAsync(work, written, onPresentState: false, cancellationToken)
            : CommitAtOnceAsync<T>(
                attempt =>
                {
                    var writer = Writer;
                    return new((Attempt(writer.Connection, () => work(writer), attempt, out var result, cancellationToken), result));
                },
                cancellationToken);

    private async Task<(T Result, long Marker)> CommitDeferredAsync<T>(
        Func<CachedConnection, T> work, DeferredStatements? written, bool onPresentState, CancellationToken cancellationToken)
    {
        using var admission = AdmitWrite(cancellationToken);
        using var loading = NewLoading();
        while (true)
        {
            try
            {
                T last = default!;
                var marker = await AutoSync.WriteAsync(
                    attempt =>
                    {
                        var writer = Writer;
                        return Attempt(writer.Connection, () => work(writer), attempt, out last, CancellationToken.None);
                    },
                    written,
                    onPresentState,
                    cancellationToken).ConfigureAwait(false);
                return (last, marker);
            }
            catch (Exception) when (loading.HasMissed)
            {
                await loading.LoadAsync(cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Runs attempts, each with leave to write, until one is durable or fails. An attempt says whether the storage refused it for the moment.</summary>
    private async Task<(T Result, long Marker)> CommitAtOnceAsync<T>(Func<int, ValueTask<(bool IsRefused, T Result)>> run, CancellationToken cancellationToken)
    {
        using var admission = AdmitWrite(cancellationToken);
        using var loading = NewLoading();
        for (var attempt = 1; ; attempt++)
        {
            // Twice in the hope that nobody else writes, then with the turn. Behind what was acknowledged before, where anything is acknowledged early.
            var beginning = AutoSync.Durability == Durability.Deferred
                ? AutoSync.BeginWriteAsync(exclusive: attempt > 2, cancellationToken)
                : _pipeline.BeginWriteAsync(exclusive: attempt > 2, cancellationToken);
            using var slot = await beginning.ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            T result;
            try
            {
                (var isRefused, result) = await run(attempt).ConfigureAwait(false);
                if (isRefused) continue;
            }
            catch (Exception) when (loading.HasMissed)
            {
                slot.Abandon();
                slot.Dispose(); // others may write meanwhile
                await loading.LoadAsync(cancellationToken).ConfigureAwait(false);
                attempt--;
                continue;
            }
            catch
            {
                // A statement can fail behind its commit: OR FAIL keeps what it did before, and rows of RETURNING are read after it.
                slot.Abandon();
                throw;
            }

            slot.Dispose();
            var outcome = await slot.Outcome.ConfigureAwait(false);
            if (!outcome.IsStale) return (result, outcome.Position.Marker);
            if (attempt >= _options.MaxAttempts) throw new StaleCommitException(attempt);
        }
    }

    /// <returns>Whether the storage refused it for the moment.</returns>
    private bool Attempt<T>(SqliteConnection connection, Func<T> work, int attempt, out T result, CancellationToken cancellationToken)
    {
        using var interruption = connection.InterruptOn(cancellationToken);
        try
        {
            result = RunResident(work);
            return false;
        }
        catch (SqliteException error) when (error.SqliteExtendedErrorCode == SqliteResult.BusyRefused && attempt < _options.MaxAttempts)
        {
            // Between the slot's beginning and the statement another tab's commit came in that waits for this tab's readers.
            connection.RollBack();
            result = default!;
            return true;
        }
        catch (SqliteException error) when (CachedConnection.IsInterrupt(error, cancellationToken))
        {
            connection.RollBack();
            throw new OperationCanceledException(error.Message, error, cancellationToken);
        }
        catch (Exception error)
        {
            if (RollBack(connection, error) is { } refusal) throw refusal;
            throw;
        }
    }

    /// <summary>Ends the transaction of work that failed.</summary>
    /// <returns>What to throw instead, where it was the storage that refused the commit.</returns>
    private static CommitTooLargeException? RollBack(SqliteConnection connection, Exception error)
    {
        connection.RollBack();
        return error is SqliteException failure ? VfsFailure.RefusalOf(failure) : null;
    }

    private async Task<ExecuteResult> RunInteractiveAsync(
        CachedConnection writer, Func<CachedConnection, SqliteTransaction?> begin, Func<SqliteConnection, SqliteTransaction?, Task> work, UndoUnit? unit)
    {
        var before = writer.TotalChanges;
        var scope = new WorkScope(writer);
        SqliteTransaction? transaction = null;
        try
        {
            _traits = null; // it can do anything to the connection
            transaction = begin(writer);
            BeginWork(writer.Schema, writer.RunText);
            using var recording = BeginRecording(writer, unit);
            _scope.Value = scope;
            await work(writer.Connection, transaction).ConfigureAwait(false);
            CheckTransaction(writer.Connection, isBegun: true);
            var recorded = StoreRecording(writer, recording);
            if (transaction is null) writer.Execute(Commit);
            else transaction.Commit();
            return new ExecuteResult(writer.TotalChanges - before - recorded, writer.LastInsertRowId, 0);
        }
        catch (Exception error)
        {
            if (RollBack(writer.Connection, error) is { } refusal) throw refusal;
            throw;
        }
        finally
        {
            if (transaction is not null) End(transaction);
            scope.IsOver = true;
        }
    }

    private async Task<ExecuteResult> WriteInteractivelyAsync(
        Func<CachedConnection, SqliteTransaction?> begin, Func<SqliteConnection, SqliteTransaction?, Task> work, CancellationToken cancellationToken, UndoUnit? unit = null)
    {
        using var admission = AdmitWrite(cancellationToken);
        using var loading = NewLoading();
        for (var attempt = 1; ; attempt++)
        {
            using var slot = await AutoSync.BeginWriteAsync(exclusive: true, cancellationToken).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            var running = _pipeline.NewCompletion();
            _interactive = running.Task;
            ExecuteResult? result = null;
            try
            {
                result = await RunInteractiveAsync(Writer, begin, work, unit).ConfigureAwait(false);
            }
            catch (Exception) when (loading.HasMissed)
            {
                slot.Abandon();
            }
            catch
            {
                slot.Abandon();
                throw;
            }
            finally
            {
                slot.Dispose();
                running.SetResult();
            }

            if (result is not { } done)
            {
                await loading.LoadAsync(cancellationToken).ConfigureAwait(false);
                attempt--;
                continue;
            }

            var outcome = await slot.Outcome.ConfigureAwait(false);
            if (!outcome.IsStale) return done with { Marker = outcome.Position.Marker };
            if (attempt == _options.MaxAttempts) throw new StaleCommitException(attempt);
        }
    }

    // Fewer are done before anybody notices; and what is deferred is run again by itself, all at once.
    private bool IsLarge(IReadOnlyCollection<object?> parameterSets) => OperatingSystem.IsBrowser() && parameterSets.Count >= 1000 && AutoSync.Durability != Durability.Deferred;

    private Task<ExecuteResult> ExecuteInPartsAsync(string sql, IReadOnlyCollection<object?> parameterSets, CancellationToken cancellationToken, UndoUnit? unit = null)
    {
        return WriteInteractivelyAsync(BeginPlain, (_, _) => RunPartsAsync(Writer), cancellationToken, unit);

        async Task RunPartsAsync(CachedConnection writer)
        {
            var start = _time.GetTimestamp();
            foreach (var _ in writer.ExecuteManyInParts(sql, parameterSets))
            {
                if (_time.GetElapsedTime(start) < PageSlice) continue;
                await SqliteImports.YieldToPage().ConfigureAwait(false);
                cancellationToken.ThrowIfCancellationRequested();
                start = _time.GetTimestamp();
            }
        }
    }
}
