using DataSync.Coordination;
using DataSync.Remote;
using DataSync.Rig;
using DataSync.Storage;
using DataSync.Vfs;
using DataSync.Vfs.Native;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace DataSync.Server.Tests;

/// <summary>What keeps a client from being left without an answer.</summary>
public sealed class ConnectionTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("server-tests-").FullName;
    private readonly OddPlace _place;

    public ConnectionTests() => _place = new(new DirectoryPlace(new FileStoreOptions { BaseDirectory = _directory }, TimeProvider.System, NullLogger.Instance));

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task Who_comes_back_is_listened_to_when_the_earlier_connection_is_not_any_more()
    {
        await using var server = await StartAsync();
        var (closing, goOn) = (new TaskCompletionSource(), new TaskCompletionSource());
        _place.BeforeClosing = () =>
        {
            closing.TrySetResult();
            return goOn.Task;
        };
        var before = await RawClient.JoinAsync(server);
        await before.DisposeAsync();
        await closing.Task.WaitAsync(TestServer.Patience);
        await using var after = await RawClient.ConnectAsync(server);
        await after.SendAsync(new(FrameKind.Hello, 0, default, Bodies.Hello(TestServer.Database)));
        await after.SendAsync(new(FrameKind.Join, 1, before.Tab, before.Secret));
        var leases = 0;
        await after.UntilAsync(frame => frame.Kind == FrameKind.End || (frame.Kind == FrameKind.Lease && ++leases == 3)); // heartbeats pass
        Assert.Equal((3, 0), (leases, _place.Overlaps));
        goOn.SetResult();
        await after.UntilAsync(frame => frame is { Kind: FrameKind.End, Request: 1 });
        Assert.Equal(0, _place.Overlaps);
    }

    /// <summary>A client waits for the answer as long as the connection lives.</summary>
    [Fact]
    public async Task A_request_that_cannot_be_answered_ends_the_connection_and_the_next_one_is()
    {
        await using var server = await StartAsync();
        var here = await server.OpenHereAsync();
        await here.ExecuteAsync("CREATE TABLE entry (id INTEGER PRIMARY KEY)");
        _place.OnStore = store =>
        {
            store.FailAt(StoreOperation.Read, new InvalidOperationException("It does not know itself."), nth: 2);
            _place.OnStore = null;
        };
        await using var raw = await RawClient.JoinAsync(server);
        await raw.SendAsync(new(FrameKind.Read, 3, raw.Tab, Bodies.Read(new(new ReadResult(), IncludeExtents: false))));
        await raw.UntilAsync(frame => frame is { Kind: FrameKind.End, Request: 3 });
        await raw.SendAsync(new(FrameKind.Read, 4, raw.Tab, Bodies.Read(new(new ReadResult(), IncludeExtents: false))));
        Assert.NotEqual(4400, await raw.EndAsync());

        // As a client meets it.
        _place.OnStore = store =>
        {
            store.FailAt(StoreOperation.Read, new InvalidOperationException("It does not know itself."), nth: 2);
            _place.OnStore = null;
        };
        var client = await server.OpenAsync(configure: o => o.Pipeline.AnnounceBytes = 0);
        await client.ExecuteAsync("INSERT INTO entry DEFAULT VALUES").WaitAsync(TestServer.Patience);
        await here.ExecuteAsync("INSERT INTO entry SELECT value FROM json_each(json_array(10, 11, 12))");
        await here.ExecuteAsync("CREATE TABLE large AS SELECT randomblob(1000000) AS bytes"); // not announced with its blocks, so it is read
        await client.ExecuteAsync("INSERT INTO entry DEFAULT VALUES").WaitAsync(TestServer.Patience);
        Assert.Equal(5, (await client.QueryAsync<long>("SELECT count(*) FROM entry")).Single());
    }

    private Task<TestServer> StartAsync() =>
        TestServer.StartAsync(databases: services => services.AddSingleton(new DataSyncFactory(_place, new DataSyncOptions())));
}
