using DataSync.Contracts;
using DataSync.Storage;
using DataSync.Vfs;

namespace DataSync.Server.Tests;

/// <summary>The table in which writers leave what they wrote.</summary>
internal static class Entries
{
    public const string Table = "CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, writer TEXT NOT NULL, number INTEGER NOT NULL)";

    public static async Task SeeAsync(DataSyncDatabase database, int rows) => await WaitForAsync(database, rows).WaitAsync(TestServer.Patience);

    public static async Task WaitForAsync(DataSyncDatabase database, int rows)
    {
        await using var live = await database.LiveAsync<long>("SELECT count(*) FROM entry");
        await foreach (var result in live) if (result.Single() == rows) return;
    }

    /// <summary>Nothing that was acknowledged is lost, nothing is there twice, and everybody sees the same.</summary>
    public static async Task AssertHistoryAsync(DataSyncDatabase database, IReadOnlyCollection<Writer> writers)
    {
        // Others' commits are shown when they are heard of; a write of its own stands on all that was acknowledged before it.
        await database.ExecuteAsync([new("CREATE TABLE IF NOT EXISTS looked(at)"), new("INSERT INTO looked VALUES (1)")]);
        var history = (await database.QueryAsync<Entry>("SELECT writer, number FROM entry ORDER BY id")).Select(entry => (entry.Writer, entry.Number)).ToList();
        Assert.Null(HistoryChecker.FindViolation(writers.SelectMany(writer => writer.Writes), history));
        foreach (var writer in writers) await SeeAsync(writer.Database, history.Count);
    }

    private sealed record Entry(string Writer, long Number);
}

/// <summary>An app that writes one row after the other, as statements and as work of its own, and notes what it is told.</summary>
internal sealed class Writer(string name, DataSyncDatabase database)
{
    private readonly List<HistoryWrite> _writes = [];
    private readonly Lock _gate = new();
    private (int Target, TaskCompletionSource Done)? _waiter;
    private int _acknowledged;

    public DataSyncDatabase Database => database;

    public IReadOnlyList<HistoryWrite> Writes
    {
        get
        {
            lock (_gate) return [.. _writes];
        }
    }

    public int Acknowledged
    {
        get
        {
            lock (_gate) return _acknowledged;
        }
    }

    public Task ReachAsync(int target)
    {
        lock (_gate)
        {
            if (_acknowledged >= target) return Task.CompletedTask;
            var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waiter = (target, done);
            return done.Task;
        }
    }

    public async Task WriteUntilAsync(Func<bool> isOver)
    {
        for (var number = Writes.Count + 1L; !isOver(); number++)
        {
            var began = Now;
            var outcome = WriteOutcome.Acknowledged;
            try
            {
                await (number % 5 == 0
                    ? database.WriteAsync(connection => connection.ExecuteText($"INSERT INTO entry (writer, number) VALUES ('{name}', {number})"))
                    : database.ExecuteAsync("INSERT INTO entry (writer, number) VALUES (?, ?)", new object[] { name, number }));
            }
            catch (NoLeaderException error)
            {
                outcome = error.IsOutcomeUnknown ? WriteOutcome.Unknown : WriteOutcome.Refused;
            }

            lock (_gate)
            {
                _writes.Add(new(name, number, began, outcome == WriteOutcome.Unknown ? null : Now, outcome));
                if (outcome == WriteOutcome.Acknowledged && ++_acknowledged >= _waiter?.Target) _waiter.Value.Done.TrySetResult();
            }
        }
    }

    private static double Now => TimeProvider.System.GetElapsedTime(0).TotalMilliseconds;
}
