using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

// Deferred writes that are kept as statements until they are durable, and run again when the database is opened next.
public sealed partial class DataSyncDatabase
{
    /// <summary>How long one who opens the database waits at a time before it looks whether the connection is still there.</summary>
    private static readonly TimeSpan ReplaySlice = TimeSpan.FromSeconds(1);

    private Task _replaying = Task.CompletedTask;
    private long _lastNumber;

    /// <inheritdoc cref="CommitPipeline.IsCut"/>
    internal bool IsCut => _pipeline.IsCut;

    /// <summary>What the application gave, as it is told and kept; null for what is no text, or not deferred.</summary>
    private DeferredStatements? Describe(TravellingStatement[] statements)
    {
        if (statements.Length == 0 || AutoSync.Durability != Durability.Deferred || !_pipeline.TakesCommits) return null;
        var body = AutoSync.Journal is null || (statements is [{ IsMany: false } only] && !MayBeInTransaction(only.Sql)) ? null : StatementBody.Encode(0, statements, ToSqlite, int.MaxValue, int.MaxValue);
        return new([.. statements.Select(statement => new FailedStatement(statement.Sql, statement.Parameters, statement.IsMany))], body);
    }

    // What is about the connection, not the data, or refuses to be in a transaction.
    private static bool MayBeInTransaction(string sql) =>
        SqlText.FirstWord(sql) is not ("" or "VACUUM" or "PRAGMA" or "ATTACH" or "DETACH" or "BEGIN" or "COMMIT" or "END" or "ROLLBACK" or "SAVEPOINT" or "RELEASE" or "SELECT" or "VALUES" or "EXPLAIN")
        || SqlText.HasSeveralStatements(sql);

    /// <summary>Whether a kept write was run already, by this tab or another: then nothing is to be done.</summary>
    private static bool WasRun(CachedConnection writer, DeferredStatements? written) =>
        written is { IsKept: true, Entry: { } entry } && AppliedWrites.LastOf(writer, entry.Queue) >= entry.Number;

    /// <summary>Notes, in the transaction that ran them, that statements were run; gives them the next number of this tab's queue while they have none for good.</summary>
    /// <returns>How many rows that took, which are none of the work's own.</returns>
    private int NoteRun(CachedConnection writer, DeferredStatements? written, int changesBefore)
    {
        if (written?.Body is not { } body) return 0;
        CheckTransaction(writer.Connection, isBegun: true);
        if (!written.IsKept)
        {
            written.Entry = null;
            if (!HasChanged(writer, changesBefore)) return 0;
            written.Entry = new(Coordinator.Id, ++_lastNumber, JournalBody.Encode(_time.GetUtcNow(), body)); // a number of its own for each run: another write may have come between
        }

        var changes = writer.TotalChanges;
        AppliedWrites.Set(writer, written.Entry!.Queue, written.Entry.Number, _time.GetUtcNow());
        return writer.TotalChanges - changes;
    }

    // SQLite counts no rows of what changes the schema.
    private bool HasChanged(CachedConnection writer, int changesBefore) =>
        writer.TotalChanges != changesBefore || writer.Run("PRAGMA schema_version", null, static (row, isRow) => isRow ? row.GetInt64(0) : 0) != _pipeline.Storage.SchemaVersion.Cookie;

    /// <summary>
    /// Runs what earlier sessions have left in the journal, where it is given to this tab, as deferred writes of its own, in their order. What cannot be run now, since it needs a leader, goes on behind
    /// this, and the rest with it; so does what other tabs of this device leave later.
    /// </summary>
    /// <exception cref="StorageException">The journal cannot be read.</exception>
    private async Task RunKeptAsync(CancellationToken cancellationToken)
    {
        if (AutoSync.Journal is not { } journal) return;
        var kept = Read(await journal.OpenAsync(Coordinator.Id, inherits: _pipeline.TakesCommits && !_pipeline.IsReadOnly, cancellationToken).ConfigureAwait(false));
        for (var i = 0; i < kept.Count; i++)
        {
            try
            {
                await RunOrReportAsync(kept[i], onPresentState: false, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception error) when (IsOfSql(error) || IsOfCut(error))
            {
                _replaying = RunRestAsync(kept, i, onPresentState: true);
                break;
            }
        }

        _ = RunLeftAsync(journal);
    }

    /// <summary>Runs what other tabs leave when they end, whenever this one is given it.</summary>
    private async Task RunLeftAsync(IDeferredJournal journal)
    {
        await _replaying.ConfigureAwait(false);
        while (IsUsable)
        {
            try
            {
                if (await journal.WaitForLeftAsync().ConfigureAwait(false) is not { Count: > 0 } entries) return;
                await RunRestAsync(Read(entries), 0, onPresentState: false).ConfigureAwait(false);
            }
            catch (StorageException)
            {
                await Task.Delay(ReplaySlice, _time).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Waits until all that earlier sessions have left was run, while the leader can be reached.</summary>
    internal async Task WaitForKeptAsync(CancellationToken cancellationToken)
    {
        for (var isReachable = Coordinator.LeaderId is not null; isReachable && !_replaying.IsCompleted; isReachable = !_pipeline.IsCut)
        {
            try
            {
                await _replaying.WaitAsync(ReplaySlice, _time, cancellationToken).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                // Perhaps there is no connection any more.
            }
        }
    }

    /// <summary>Runs what is kept from one on; what needs what is not in this tab's copy yet with the write turn.</summary>
    private async Task RunRestAsync(List<KeptWrite> kept, int from, bool onPresentState)
    {
        if (!OperatingSystem.IsBrowser()) await Task.Yield();
        for (var i = from; i < kept.Count;)
        {
            try
            {
                await RunOrReportAsync(kept[i], onPresentState, CancellationToken.None).ConfigureAwait(false);
                onPresentState = false;
                i++;
            }
            catch (Exception error) when (IsOfSql(error) && kept[i].Error is null)
            {
                onPresentState = true;
            }
            catch (Exception error) when (IsOfCut(error) && IsUsable)
            {
                if (error is SqliteException) await Task.Delay(ReplaySlice, _time).ConfigureAwait(false); // the others have waited
            }
            catch (Exception error) when (error is StorageException or ObjectDisposedException || IsOfSql(error))
            {
                return; // it stays in the journal
            }
        }
    }

    /// <summary>
    /// Runs a kept write. What fails with the write turn, so on the end of the history, has failed for good, and is reported. That, too, becomes durable: where tabs do not know of each other, another one may
    /// have read it. On this tab's copy, which may be older, even than what its own tab has run it on, it has not, and the exception comes out.
    /// </summary>
    private async Task RunOrReportAsync(KeptWrite kept, bool onPresentState, CancellationToken cancellationToken)
    {
        if (kept.FailedBefore is { } before)
        {
            await AutoSync.ReportFailedAsync(kept.Written, before).ConfigureAwait(false); // perhaps once more: its tab ended while it told of it
            return;
        }

        if (kept.Error is null)
        {
            try
            {
                await RunKeptAsync(kept, kept.Statements, onPresentState, cancellationToken).ConfigureAwait(false);
                return;
            }
            catch (Exception error) when (IsOfSql(error) && onPresentState)
            {
                await AutoSync.ReportFailedAsync(kept.Written, kept.Error = error).ConfigureAwait(false);
            }
        }

        await RunKeptAsync(kept, [], onPresentState: false, cancellationToken).ConfigureAwait(false);
    }

    private async Task RunKeptAsync(KeptWrite kept, IReadOnlyList<TravellingStatement> statements, bool onPresentState, CancellationToken cancellationToken)
    {
        await CommitDeferredAsync(
            writer =>
            {
                _traits = null; // it can do anything to the connection
                return Transact(writer, needsTransaction: true, () =>
                {
                    if (WasRun(writer, kept.Written)) return false;
                    foreach (var (sql, parameters, isMany) in statements)
                    {
                        if (isMany) writer.ExecuteMany(sql, (object?[])parameters!);
                        else writer.Execute(sql, parameters);
                    }

                    NoteRun(writer, kept.Written, 0);
                    return true;
                });
            },
            kept.Written,
            onPresentState,
            cancellationToken).ConfigureAwait(false);
    }

    // In the order in which they were written, those of one queue in any case: a tab may have built on what it had taken over from a younger one. What a newer version of the app has written waits for
    // that, with all of its queue behind it.
    private static List<KeptWrite> Read(IReadOnlyList<JournalEntry> entries)
    {
        var latest = new Dictionary<TabId, long>();
        var kept = new List<(long Time, KeptWrite Write)>();
        foreach (var entry in entries)
        {
            var time = latest.GetValueOrDefault(entry.Queue);
            if (time == long.MaxValue) continue;
            if (JournalBody.Decode(entry.Body) is not var (writtenAt, statements, failedBefore))
            {
                latest[entry.Queue] = long.MaxValue;
                continue;
            }

            latest[entry.Queue] = time = Math.Max(time, writtenAt); // the clock may have been set back
            kept.Add((time, new(statements, failedBefore, new([.. statements.Select(s => new FailedStatement(s.Sql, s.Parameters, s.IsMany))], entry.Body) { Entry = entry, IsKept = true })));
        }

        return [.. kept.OrderBy(one => one.Time).Select(one => one.Write)];
    }

    // What the statements themselves fail with.
    private static bool IsOfSql(Exception error) => (error is SqliteException && !IsOfCut(error)) || error is CommitTooLargeException or (InvalidOperationException and not ObjectDisposedException) or ArgumentException;

    // What passes: when a leader is there, others let it write, or a connection of this tab has done reading.
    private static bool IsOfCut(Exception error) =>
        error is NoLeaderException or StorageUnavailableException or StaleCommitException or SqliteException { SqliteErrorCode: SqliteResult.Busy or SqliteResult.Locked };

    private sealed record KeptWrite(List<TravellingStatement> Statements, Exception? FailedBefore, DeferredStatements Written)
    {
        /// <summary>What it failed with for good.</summary>
        public Exception? Error { get; set; }
    }
}
