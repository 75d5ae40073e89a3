using System.Buffers.Binary;
using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

// Deferred writes that are kept as statements until they are durable, and run again when the database is opened next.
public sealed partial class DataSyncDatabase
{
    /// <summary>Of an entry of the journal: this byte, i64 marker of the history that it was written on (little-endian), then a <see cref="StatementBody"/>.</summary>
    private const byte JournalFormat = 1;

    private const int JournalHeader = 1 + sizeof(long);

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
            var entry = new byte[JournalHeader + body.Length];
            entry[0] = JournalFormat;
            BinaryPrimitives.WriteInt64LittleEndian(entry.AsSpan(1), _pipeline.Position.Marker);
            body.CopyTo(entry, JournalHeader);
            written.Entry = new(Coordinator.Id, ++_lastNumber, entry); // a number of its own for each run: another write may have come between
        }

        var changes = writer.TotalChanges;
        AppliedWrites.Set(writer, written.Entry!.Queue, written.Entry.Number, _time.GetUtcNow());
        return writer.TotalChanges - changes;
    }

    // SQLite counts no rows of what changes the schema.
    private bool HasChanged(CachedConnection writer, int changesBefore) =>
        writer.TotalChanges != changesBefore || writer.Run("PRAGMA schema_version", null, static (row, isRow) => isRow ? row.GetInt64(0) : 0) != _pipeline.Storage.SchemaVersion.Cookie;

    /// <summary>
    /// Runs what earlier sessions have left in the journal, as deferred writes of this tab, in their order. What cannot be run now, since it needs a leader, goes on behind this, and the rest with it.
    /// </summary>
    /// <exception cref="StorageException">The journal cannot be read.</exception>
    private async Task RunKeptAsync(CancellationToken cancellationToken)
    {
        if (AutoSync.Journal is not { } journal) return;
        var entries = await journal.OpenAsync(cancellationToken).ConfigureAwait(false);
        if (!_pipeline.TakesCommits || _pipeline.IsReadOnly) return;
        var skipped = new HashSet<TabId>();
        var kept = entries.Select(entry => Read(entry, skipped)).OfType<KeptWrite>().ToList();
        for (var i = 0; i < kept.Count; i++)
        {
            try
            {
                await RunOrReportAsync(kept[i], onPresentState: false, cancellationToken).ConfigureAwait(false);
            }
            catch (Exception error) when (IsOfSql(error) || IsOfCut(error))
            {
                _replaying = RunRestAsync(kept, i);
                return;
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

    /// <summary>The first of them with the write turn; it may need what is not in this tab's copy yet.</summary>
    private async Task RunRestAsync(List<KeptWrite> kept, int from)
    {
        if (!OperatingSystem.IsBrowser()) await Task.Yield();
        var onPresentState = true;
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
    /// Runs a kept write. What fails on a state of the database that is not older than the one it was written on has failed for good, and is reported. That, too, becomes durable: no other tab runs it
    /// later. On an older one (this tab's copy may be) it has not, and the exception comes out.
    /// </summary>
    private async Task RunOrReportAsync(KeptWrite kept, bool onPresentState, CancellationToken cancellationToken)
    {
        if (kept.Error is null)
        {
            try
            {
                await RunKeptAsync(kept, kept.Statements, onPresentState, cancellationToken).ConfigureAwait(false);
                return;
            }
            catch (Exception error) when (IsOfSql(error) && (onPresentState || kept.WrittenOn <= _pipeline.Position.Marker))
            {
                AutoSync.ReportFailed(kept.Written, kept.Error = error);
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

    // What a newer version of the app has written waits for that, with all behind it.
    private static KeptWrite? Read(JournalEntry entry, HashSet<TabId> skipped)
    {
        if (skipped.Contains(entry.Queue)) return null;
        try
        {
            if (entry.Body is [JournalFormat, ..] && entry.Body.Length > JournalHeader)
            {
                var (_, statements) = StatementBody.Decode(entry.Body[JournalHeader..]);
                return new(statements, BinaryPrimitives.ReadInt64LittleEndian(entry.Body.AsSpan(1)), new([.. statements.Select(s => new FailedStatement(s.Sql, s.Parameters, s.IsMany))], entry.Body) { Entry = entry, IsKept = true });
            }
        }
        catch (FormatException)
        {
            // As that.
        }

        skipped.Add(entry.Queue);
        return null;
    }

    // What the statements themselves fail with.
    private static bool IsOfSql(Exception error) => (error is SqliteException && !IsOfCut(error)) || error is CommitTooLargeException or (InvalidOperationException and not ObjectDisposedException) or ArgumentException;

    // What passes: when a leader is there, others let it write, or a connection of this tab has done reading.
    private static bool IsOfCut(Exception error) =>
        error is NoLeaderException or StorageUnavailableException or StaleCommitException or SqliteException { SqliteErrorCode: SqliteResult.Busy or SqliteResult.Locked };

    private sealed record KeptWrite(List<TravellingStatement> Statements, long WrittenOn, DeferredStatements Written)
    {
        /// <summary>What it failed with for good.</summary>
        public Exception? Error { get; set; }
    }
}
