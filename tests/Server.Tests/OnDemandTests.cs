using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Extensions.DependencyInjection;

namespace DataSync.Server.Tests;

/// <summary>A client that has only what it needed in memory.</summary>
public sealed class OnDemandTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("server-tests-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact(Timeout = 300_000)]
    public async Task What_is_over_there_comes_when_it_is_needed_and_fails_with_a_reason_while_there_is_no_connection()
    {
        await using var server = await TestServer.StartAsync(databases: services => services.AddDataSync(o =>
        {
            o.Directory = _directory;
            o.Pipeline.CheckpointLogRecords = 1;
        }));
        var here = await server.OpenHereAsync();
        await here.ExecuteAsync("CREATE TABLE page (id INTEGER PRIMARY KEY, bytes BLOB)");
        await here.ExecuteAsync("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO page SELECT i, randomblob(4000) FROM n");
        while (here.LogRecords > 0) await Task.Delay(20); // until all is in a checkpoint

        await using var proxy = new CutProxy(() => server.Port);
        var client = await server.OpenAsync(port: proxy.Port, configure: o =>
        {
            o.Residency = Residency.OnDemand(1);
            o.Pipeline.TurnDeadline = TimeSpan.FromMilliseconds(300);
            o.Pipeline.ResendAfter = TimeSpan.FromMilliseconds(100);
            o.Pipeline.WriteTimeout = TimeSpan.FromSeconds(1);
        });
        const string Sum = "SELECT count(*), sum(length(bytes)) FROM page";
        Assert.InRange(client.ResidentBytes, 1, 2_000_000);
        Assert.Equal(4000, (await client.QueryAsync<long>("SELECT length(bytes) FROM page WHERE id = 1000")).Single());
        Assert.InRange(client.ResidentBytes, 1, 2_000_000);

        proxy.IsDown = true;
        proxy.Cut();
        var error = await Assert.ThrowsAsync<StorageUnavailableException>(() => client.QueryAsync(Sum)).WaitAsync(TestServer.Patience);
        Assert.Contains("OnDemand", error.Message, StringComparison.Ordinal);

        proxy.IsDown = false;
        while (true)
        {
            try
            {
                Assert.Equal(8_000_000L, (await client.QueryAsync(Sum).WaitAsync(TestServer.Patience)).Rows.Single()[1]);
                break;
            }
            catch (StorageUnavailableException)
            {
                // It is not connected again yet.
            }
        }
    }
}
