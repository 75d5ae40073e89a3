using System.Net.WebSockets;
using System.Security.Claims;
using DataSync.Coordination;
using DataSync.Remote;
using DataSync.Storage;
using DataSync.Vfs;

namespace DataSync.Server.Tests;

/// <summary>What the server refuses, each with its status or its error; and that what it refuses changes nothing.</summary>
public sealed class SecurityTests
{
    /// <summary>Milliseconds; for what waits for a condition.</summary>
    private const int Hang = 300_000;

    private const string Table = "CREATE TABLE entry (id INTEGER PRIMARY KEY, writer TEXT)";

    [Fact]
    public async Task Nobody_may_open_anything_as_long_as_nothing_is_said()
    {
        await using var server = await TestServer.StartAsync(_ => { });
        await Assert.ThrowsAsync<AccessDeniedException>(() => server.OpenAsync().WaitAsync(TestServer.Patience));
        await using var raw = await RawClient.ConnectAsync(server);
        await raw.SendAsync(new(FrameKind.Hello, 0, default, Bodies.Hello(TestServer.Database)));
        Assert.Equal(4403, await raw.EndAsync());
    }

    [Fact]
    public async Task A_user_opens_what_is_his_and_nothing_else()
    {
        await using var server = await TestServer.StartAsync(o => o.Authorize = (context, name) =>
            new(name == context.User.FindFirstValue(ClaimTypes.NameIdentifier) + ".db" ? DatabaseAccess.Write : DatabaseAccess.None));
        var anne = await server.OpenAsync("anne.db", user: "anne");
        await anne.ExecuteAsync(Table);
        var byToken = server.NewClient(remote: o => o.AccessTokenProvider = _ => new("anne"));
        Assert.NotNull(await byToken.OpenAsync("anne.db"));
        await Assert.ThrowsAsync<AccessDeniedException>(() => server.OpenAsync("anne.db", user: "ben").WaitAsync(TestServer.Patience));
        await Assert.ThrowsAsync<AccessDeniedException>(() => server.OpenAsync("anne.db").WaitAsync(TestServer.Patience));
    }

    [Theory]
    [InlineData(":memory:")]
    [InlineData("file:/etc/passwd")]
    [InlineData("")]
    [InlineData("a\nb")]
    public async Task What_is_no_name_of_a_database_is_refused(string name)
    {
        await using var server = await TestServer.StartAsync();
        await using var raw = await RawClient.ConnectAsync(server);
        await raw.SendAsync(new(FrameKind.Hello, 0, default, Bodies.Hello(name)));
        Assert.Equal(4403, await raw.EndAsync());
    }

    [Fact]
    public async Task One_who_may_read_follows_and_does_not_write()
    {
        await using var server = await TestServer.StartAsync(o => o.Authorize = (context, _) => new(context.User.Identity?.IsAuthenticated == true ? DatabaseAccess.Write : DatabaseAccess.Read));
        var writer = await server.OpenAsync(user: "anne");
        await writer.ExecuteAsync(Table);
        var reader = await server.OpenAsync();
        await Assert.ThrowsAsync<AccessDeniedException>(() => reader.ExecuteAsync("INSERT INTO entry DEFAULT VALUES"));
        Assert.Equal(0, (await reader.QueryAsync<long>("SELECT count(*) FROM entry")).Single());

        // Nor one who does not ask his own side first.
        await using var raw = await RawClient.JoinAsync(server);
        await raw.SayAsync(CommitMessageKind.TurnRequest, m => m with { Turn = 1 });
        var id = Guid.NewGuid();
        await raw.SayAsync(CommitMessageKind.Statements, m => m with { Records = [[.. id.ToByteArray(), .. MakeStatement("INSERT INTO entry DEFAULT VALUES")]] });
        var refused = await raw.HearAsync(CommitMessageKind.Refused);
        Assert.Equal((StorageErrorCode.Denied, id), (refused.Code, refused.Position.Commit.Value));
        await writer.ExecuteAsync("INSERT INTO entry DEFAULT VALUES"); // the turn was not given away either
        Assert.Equal(1, (await writer.QueryAsync<long>("SELECT count(*) FROM entry")).Single());
    }

    [Fact]
    public async Task Rights_that_are_taken_away_count_while_connected_where_that_is_asked_for()
    {
        var access = DatabaseAccess.Write;
        await using var server = await TestServer.StartAsync(o =>
        {
            o.Authorize = (_, _) => new(access);
            o.ReauthorizeEvery = TimeSpan.FromSeconds(1);
        });
        var client = await server.OpenAsync();
        await client.ExecuteAsync(Table);
        var faulted = new TaskCompletionSource<StorageException>();
        client.Faulted += (_, e) => faulted.TrySetResult(e.Error);
        await using var raw = await RawClient.JoinAsync(server);
        access = DatabaseAccess.Read;
        Assert.NotEqual(4403, await raw.EndAsync());
        await using var reader = await RawClient.JoinAsync(server);
        access = DatabaseAccess.None;
        await reader.EndAsync();
        Assert.IsType<AccessDeniedException>(await faulted.Task.WaitAsync(TestServer.Patience));
        Assert.Equal(0, (await client.QueryAsync<long>("SELECT count(*) FROM entry")).Single()); // what it has it can read
    }

    [Fact]
    public async Task A_page_of_another_origin_does_not_connect()
    {
        await using var server = await TestServer.StartAsync(o => o.AllowEverybody().AllowedOrigins.Add("https://app.example.org"));
        await using var own = await RawClient.ConnectAsync(server, $"http://127.0.0.1:{server.Port}");
        await using var allowed = await RawClient.ConnectAsync(server, "https://app.example.org");
        foreach (var foreign in new[] { "https://evil.example.org", "null", $"https://127.0.0.1:{server.Port}" })
            Assert.Contains("403", (await Assert.ThrowsAsync<WebSocketException>(() => RawClient.ConnectAsync(server, foreign))).Message, StringComparison.Ordinal);
    }

    public static TheoryData<string, byte[], int> Garbage => new()
    {
        { "nothing", [], 4400 },
        { "no kind", [99, .. new byte[23]], 4400 },
        { "something in what must be zero", [1, 1, .. new byte[22]], 4400 },
        { "a greeting without its beginning", new Frame(FrameKind.Hello, 0, default, new byte[40]).Encode(), 4400 },
        { "a greeting that is cut short", new Frame(FrameKind.Hello, 0, default, new byte[3]).Encode(), 4400 },
        { "no greeting at first", new Frame(FrameKind.Join, 1, TabId.New(TimeProvider.System), new byte[16]).Encode(), 4400 },
        { "a greeting that is too long", new Frame(FrameKind.Hello, 0, default, new byte[5000]).Encode(), 4413 },
    };

    [Theory]
    [MemberData(nameof(Garbage))]
    public async Task Garbage_instead_of_a_greeting_ends_the_connection(string what, byte[] bytes, int status)
    {
        Assert.NotEmpty(what);
        await using var server = await TestServer.StartAsync();
        await using var raw = await RawClient.ConnectAsync(server);
        await raw.SendAsync(bytes);
        Assert.Equal(status, await raw.EndAsync());
    }

    public static TheoryData<string> Misdeeds =>
        ["text", "garbage", "a message of another version", "a server's frame", "a second greeting", "another tab's frame", "another sender", "a kind of leaders", "a bad read", "a tab of nobody", "too large a frame"];

    [Theory]
    [MemberData(nameof(Misdeeds))]
    public async Task What_a_client_may_not_send_ends_the_connection_and_others_go_on(string what)
    {
        await using var server = await TestServer.StartAsync();
        var client = await server.OpenAsync();
        await client.ExecuteAsync(Table);
        await using var raw = await RawClient.JoinAsync(server);
        switch (what)
        {
            case "text":
                await raw.SendAsync(new byte[30], WebSocketMessageType.Text);
                break;
            case "garbage":
                await raw.SendAsync(new Frame(FrameKind.Message, 0, raw.Tab, new byte[200]));
                break;
            case "a message of another version":
                var other = raw.MakeMessage(CommitMessageKind.WhoLeads).Encode();
                other[4]++;
                await raw.SendAsync(new Frame(FrameKind.Message, 0, raw.Tab, other));
                break;
            case "a server's frame":
                await raw.SendAsync(new Frame(FrameKind.Lease, 0, default, Bodies.Lease(raw.Tab, new(1000))));
                break;
            case "a second greeting":
                await raw.SendAsync(new Frame(FrameKind.Hello, 0, default, Bodies.Hello("other.db")));
                break;
            case "another tab's frame":
                await raw.SendAsync(new Frame(FrameKind.Message, 0, client.Coordinator.Id, raw.MakeMessage(CommitMessageKind.WhoLeads, m => m with { Sender = client.Coordinator.Id }).Encode()));
                break;
            case "another sender":
                await raw.SayAsync(CommitMessageKind.TurnRelease, m => m with { Sender = client.Coordinator.Id, Turn = long.MaxValue });
                break;
            case "a kind of leaders":
                await raw.SayAsync(CommitMessageKind.Leading, m => m with { Epoch = new(1000), To = default });
                break;
            case "a bad read":
                await raw.SendAsync(new Frame(FrameKind.Read, 7, raw.Tab, new byte[4]));
                break;
            case "a tab of nobody":
                await raw.SendAsync(new Frame(FrameKind.Join, 7, default, new byte[16]));
                break;
            case "too large a frame":
                await raw.SendAsync(new Frame(FrameKind.Message, 0, raw.Tab, new byte[9 << 20]));
                break;
        }

        var status = await raw.EndAsync();
        Assert.True(what switch
        {
            "another tab's frame" or "another sender" or "a kind of leaders" => status == 4403,
            "too large a frame" => status is 4413 or 0, // what it still sends meets a connection that is closed
            _ => status == 4400,
        }, $"{what}: {status}");
        await client.ExecuteAsync("INSERT INTO entry DEFAULT VALUES").WaitAsync(TestServer.Patience);
    }

    [Fact]
    public async Task Nobody_joins_as_a_tab_of_the_server_or_of_another_client()
    {
        await using var server = await TestServer.StartAsync();
        var here = await server.OpenHereAsync();
        var client = await server.OpenAsync();
        foreach (var taken in new[] { here.Coordinator.Id, client.Coordinator.Id })
        {
            await using var raw = await RawClient.JoinAsync(server);
            await raw.SendAsync(new Frame(FrameKind.Join, 5, taken, new byte[16]));
            Assert.Equal(4403, await raw.EndAsync());
        }

        // The one that knows the secret does: it was cut off, and the server has not noticed yet.
        await using var before = await RawClient.JoinAsync(server);
        await using var after = await RawClient.JoinAsync(server, tab: before.Tab, secret: before.Secret);
        Assert.NotEqual(4403, await before.EndAsync());
        await after.SayAsync(CommitMessageKind.WhoLeads, m => m with { To = default });
        Assert.Equal(here.Coordinator.Id, (await after.HearAsync(CommitMessageKind.Leading)).Sender);
    }

    [Fact]
    public async Task A_message_that_is_too_large_is_not_taken()
    {
        await using var server = await TestServer.StartAsync(o => o.AllowEverybody().MaxMessageBytes = 9 << 20);
        await using var raw = await RawClient.JoinAsync(server);
        var large = raw.MakeMessage(CommitMessageKind.Commit, m => m with { Position = new(1, CommitId.New()), Records = [new byte[20 << 20]] }).Encode();
        foreach (var part in MessageFragments.Split(large)) await raw.SendAsync(new Frame(FrameKind.Message, 0, raw.Tab, part));

        // It is refused when its beginning is there, and dropped with its parts; the connection stays.
        Assert.Equal(StorageErrorCode.TooLarge, (await raw.HearAsync(CommitMessageKind.Refused)).Code);
        await raw.SayAsync(CommitMessageKind.WhoLeads, m => m with { To = default });
        await raw.HearAsync(CommitMessageKind.Leading);

        // What begins like none ends it.
        await raw.SendAsync(new Frame(FrameKind.Message, 0, raw.Tab, MessageFragments.Split(new byte[20 << 20]).First()));
        Assert.Equal(4400, await raw.EndAsync());
    }

    [Fact]
    public async Task Too_many_messages_end_the_connection()
    {
        await using var server = await TestServer.StartAsync(o => o.AllowEverybody().MessagesPerSecond = 10);
        await using var raw = await RawClient.JoinAsync(server);
        try
        {
            for (var i = 0; i < 1_000; i++) await raw.SayAsync(CommitMessageKind.Question);
        }
        catch (WebSocketException)
        {
            // It has been closed already.
        }

        Assert.True(await raw.EndAsync() is 4429 or 0); // what it still sent met a connection that was closed
    }

    [Fact]
    public async Task Too_many_requests_at_once_end_the_connection()
    {
        await using var server = await TestServer.StartAsync();
        await using var raw = await RawClient.JoinAsync(server);
        try
        {
            for (var i = 10u; i < 500; i++) await raw.SendAsync(new Frame(FrameKind.Read, i, raw.Tab, Bodies.Read(new(new ReadResult(), IncludeExtents: true))));
        }
        catch (WebSocketException)
        {
            // It has been closed already.
        }

        Assert.True(await raw.EndAsync() is 4429 or 0); // what it still sent met a connection that was closed
    }

    [Fact]
    public async Task Connections_are_counted_for_each_user_and_each_database()
    {
        await using var server = await TestServer.StartAsync(o =>
        {
            o.AllowEverybody().MaxSocketsPerUser = 2;
            o.MaxSocketsPerDatabase = 3;
        });
        await using var a = await RawClient.JoinAsync(server, user: "anne");
        await using (await RawClient.JoinAsync(server, user: "anne")) Assert.Contains("503", (await Assert.ThrowsAsync<WebSocketException>(() => RawClient.ConnectAsync(server, user: "anne"))).Message, StringComparison.Ordinal);
        await using var c = await RawClient.JoinAsync(server, user: "ben");
        await using var d = await RawClient.JoinAsync(server, user: "ben");
        await using var e = await RawClient.ConnectAsync(server, user: "cleo");
        await e.SendAsync(new(FrameKind.Hello, 0, default, Bodies.Hello(TestServer.Database)));
        var ended = await e.EndAsync();
        Assert.Equal(4503, ended);
        await using var f = await RawClient.JoinAsync(server, "other.db", user: "cleo");
    }

    [Fact]
    public async Task Replayed_messages_do_nothing_twice()
    {
        await using var server = await TestServer.StartAsync();
        var here = await server.OpenHereAsync();
        await here.ExecuteAsync(Table);
        await using var raw = await RawClient.JoinAsync(server);
        var traits = ConnectionHash(here);
        byte[] record = [.. Guid.NewGuid().ToByteArray(), .. MakeStatement("INSERT INTO entry DEFAULT VALUES", traits)];
        var message = new Frame(FrameKind.Message, 0, raw.Tab, raw.MakeMessage(CommitMessageKind.Statements, m => m with { Position = new(0, CommitId.None), Records = [record] }).Encode());
        await raw.SendAsync(message);
        await raw.HearAsync(CommitMessageKind.Committed);
        for (var i = 0; i < 5; i++) await raw.SendAsync(message);
        for (var i = 0; i < 5; i++) await raw.HearAsync(CommitMessageKind.Committed); // the same answer
        Assert.Equal(1, (await here.QueryAsync<long>("SELECT count(*) FROM entry")).Single());
    }

    [Fact]
    public async Task Others_do_not_hear_what_a_client_asks_of_the_leader()
    {
        await using var server = await TestServer.StartAsync();
        await using var spy = await RawClient.JoinAsync(server);
        await using var raw = await RawClient.JoinAsync(server);
        await raw.SayAsync(CommitMessageKind.Statements, m => m with { To = default, Records = [[.. Guid.NewGuid().ToByteArray(), .. MakeStatement("INSERT INTO secret VALUES (1)")]] });
        await raw.HearAsync(CommitMessageKind.Refused); // the traits do not fit, and so it is not run
        await raw.SayAsync(CommitMessageKind.WhoLeads, m => m with { To = default });
        while (true)
        {
            var frame = await spy.UntilAsync(frame => frame.Kind == FrameKind.Message);
            var kind = CommitMessage.TryParse(frame.Body.Span)!.Kind;
            Assert.NotEqual(CommitMessageKind.Statements, kind);
            if (kind == CommitMessageKind.Leading) break;
        }
    }

    [Fact(Timeout = Hang)]
    public async Task A_client_that_does_not_read_is_disconnected_and_others_go_on()
    {
        await using var server = await StartWithLittleRoomAsync(TimeSpan.FromSeconds(1));
        await using var raw = await WriteMuchAsync(server);
        while (server.Connections > 1) await Task.Delay(20);
        Assert.Equal(0, await raw.EndAsync()); // what was on its way still comes, then the end
    }

    [Fact(Timeout = Hang)]
    public async Task A_client_that_reads_slowly_is_not_told_of_every_commit_and_stays_connected()
    {
        await using var server = await StartWithLittleRoomAsync(TimeSpan.FromMinutes(10));
        await using var raw = await WriteMuchAsync(server);
        await raw.SayAsync(CommitMessageKind.WhoLeads, m => m with { To = default });
        var told = new HashSet<long>();
        while (true)
        {
            var message = CommitMessage.TryParse((await raw.UntilAsync(frame => frame.Kind == FrameKind.Message)).Body.Span)!;
            if (message.Kind == CommitMessageKind.Committed) told.Add(message.Position.Marker);
            else if (message.Kind == CommitMessageKind.Leading && message.Position.Marker == 201) break;
        }

        Assert.InRange(told.Count, 1, 199);
    }

    [Fact(Timeout = Hang)]
    public async Task What_is_said_to_all_is_said_once_to_the_tabs_of_a_connection()
    {
        await using var server = await TestServer.StartAsync();
        await using var raw = await RawClient.JoinAsync(server);
        var tabs = new List<TabId> { raw.Tab };
        while (tabs.Count < 3)
        {
            tabs.Add(TabId.FromGuid(Guid.NewGuid()));
            await raw.SendAsync(new Frame(FrameKind.Join, (uint)tabs.Count, tabs[^1], new byte[16]));
            await raw.UntilAsync(frame => frame is { Kind: FrameKind.End } && frame.Tab == tabs[^1]);
        }

        var writer = await server.OpenAsync();
        for (var marker = 1; ; marker++)
        {
            // Once each, also when the tab has gone by which they were heard.
            await writer.ExecuteAsync($"CREATE TABLE t{marker} (id INTEGER PRIMARY KEY)");
            var heard = new List<TabId>();
            await raw.UntilAsync(frame =>
            {
                if (frame.Kind != FrameKind.Message) return false;
                var message = CommitMessage.TryParse(frame.Body.Span)!;
                if (message.Kind == CommitMessageKind.Committed && message.Position.Marker == marker) heard.Add(frame.Tab);
                return message.Kind == CommitMessageKind.Leading && message.Position.Marker == marker; // at the next heartbeat
            });
            Assert.Equal([default], heard);
            if (tabs.Count == 1) break;
            await raw.SendAsync(new Frame(FrameKind.Leave, 0, tabs[0]));
            tabs.RemoveAt(0);
            await raw.SendAsync(new Frame(FrameKind.Join, 9, tabs[0], new byte[16])); // answered behind the other
            await raw.UntilAsync(frame => frame is { Kind: FrameKind.End, Request: 9 });
        }
    }

    private static Task<TestServer> StartWithLittleRoomAsync(TimeSpan sendTimeout) => TestServer.StartAsync(o =>
    {
        o.AllowEverybody().MaxQueuedBytes = 1 << 20;
        o.SendTimeout = sendTimeout;
    });

    /// <returns>A client that has joined, and has read nothing of it.</returns>
    private static async Task<RawClient> WriteMuchAsync(TestServer server)
    {
        var client = await server.OpenAsync(configure: o => o.Pipeline.AnnounceBytes = 1 << 20);
        await client.ExecuteAsync("CREATE TABLE blob (bytes BLOB)");
        var raw = await RawClient.JoinAsync(server);
        for (var i = 0; i < 200; i++) await client.ExecuteAsync("INSERT INTO blob VALUES (randomblob(200000))").WaitAsync(TestServer.Patience);
        Assert.Equal(200, (await client.QueryAsync<long>("SELECT count(*) FROM blob")).Single());
        return raw;
    }

    private static byte[] MakeStatement(string sql, ulong traits = 0) => StatementBody.Encode(traits, [new TravellingStatement(sql, null, IsMany: false)], value => value)!;

    private static ulong ConnectionHash(DataSyncDatabase database)
    {
        using var connection = new CachedConnection(database.Name, null);
        return ConnectionTraits.Of(connection, null).Hash;
    }
}
