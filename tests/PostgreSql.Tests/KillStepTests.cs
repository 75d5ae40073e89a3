using System.Globalization;
using DataSync.Contracts;
using DataSync.Vfs;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.PostgreSql.Tests;

/// <summary>
/// A process that leads is killed (SIGKILL) behind each single message that it sends to PostgreSQL, from the first of its connection to its fourth row. DATASYNC_POSTGRES_KILL_EVERY=1 takes each of
/// them; by default every ninth.
/// </summary>
[Collection(PostgresCollection.Name)]
public sealed class KillStepTests(PostgresCluster cluster, ITestOutputHelper output)
{
    private static readonly int Every = int.TryParse(Environment.GetEnvironmentVariable("DATASYNC_POSTGRES_KILL_EVERY"), CultureInfo.InvariantCulture, out var every) ? every : 9;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    [Fact]
    public async Task A_leader_that_is_killed_behind_any_message_loses_nothing_that_it_acknowledged()
    {
        var database = $"killed-{Guid.NewGuid():N}.db";
        var writes = new List<HistoryWrite>();
        var kills = 0;
        for (var at = 1; ; at += Every)
        {
            using var writer = WriterProcess.Start(cluster, database, string.Create(CultureInfo.InvariantCulture, $"w{at}"), killedAt: new Trap(IsClients: true, at));
            await Task.WhenAny(writer.WriteAsync(4), writer.Ended);
            var isBehind = !writer.Proxy!.IsSprung;
            if (isBehind) await writer.StopAsync(Patience);
            else await writer.Ended.WaitAsync(Patience);
            writes.AddRange(writer.Writes);
            await CheckAsync(database, writes, at);
            if (isBehind) break;
            kills++;
        }

        output.WriteLine($"{kills} kills, {writes.Count(w => w.Outcome == WriteOutcome.Acknowledged)} writes acknowledged, {writes.Count(w => w.Outcome == WriteOutcome.Unknown)} without an answer");
        Assert.True(kills > 40 / Every, $"It wrote four rows with {kills * Every} messages.");
    }

    /// <summary>Another process finds what there is, and can write at once.</summary>
    private async Task CheckAsync(string database, List<HistoryWrite> writes, int at)
    {
        await using var factory = Sqlite.NewFactory(cluster.ConnectionString);
        var next = await factory.OpenAsync(database);
        await next.ExecuteAsync(WriterProcess.Table).WaitAsync(Patience);
        var rows = await next.QueryAsync("SELECT writer, number FROM entry ORDER BY id");
        var violation = HistoryChecker.FindViolation(writes, [.. rows.Rows.Select(row => ((string)row[0]!, (long)row[1]!))]);
        Assert.True(violation is null, $"Killed behind message {at}: {violation}");
        Assert.Equal("ok", (await next.QueryAsync<string>("PRAGMA integrity_check")).Single());
    }
}
