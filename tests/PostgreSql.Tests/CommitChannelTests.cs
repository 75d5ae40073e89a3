using System.Security.Cryptography;
using System.Threading.Channels;
using DataSync.Coordination;
using Xunit;

namespace DataSync.PostgreSql.Tests;

/// <summary>Messages among processes: small ones in the notification, larger ones by reference, in the order in which they were posted.</summary>
[Collection(PostgresCollection.Name)]
public sealed class CommitChannelTests(PostgresCluster cluster) : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly PostgresStoreSource _source = new(cluster);
    private readonly List<Member> _members = [];

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (var member in _members) await member.Channel.DisposeAsync();
        await _source.RemoveAsync();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(PostgresCommitChannel.MaxInline)]
    [InlineData(PostgresCommitChannel.MaxInline + 1)]
    [InlineData(300_000)]
    [InlineData(20_000_000)]
    public async Task A_message_of_any_size_comes_to_all_others_as_it_was(int size)
    {
        var (a, b, c) = (await OpenAsync(), await OpenAsync(), await OpenAsync());
        var message = RandomNumberGenerator.GetBytes(size);
        a.Channel.Post(message, default);
        Assert.Equal(message, await b.ReadAsync());
        Assert.Equal(message, await c.ReadAsync());
        b.Channel.Post([1], default);
        Assert.Equal([1], await a.ReadAsync()); // and not its own
    }

    [Fact]
    public async Task What_is_for_one_comes_to_that_one_only()
    {
        var (a, b, c) = (await OpenAsync(), await OpenAsync(), await OpenAsync());
        a.Channel.Post([1], b.Id);
        a.Channel.Post(new byte[100_000], b.Id);
        a.Channel.Post([2], c.Id);
        a.Channel.Post([3], default);
        Assert.Equal([1], await b.ReadAsync());
        Assert.Equal(100_000, (await b.ReadAsync()).Length);
        Assert.Equal([3], await b.ReadAsync());
        Assert.Equal([2], await c.ReadAsync());
        Assert.Equal([3], await c.ReadAsync());
    }

    [Fact]
    public async Task Small_and_large_ones_keep_their_order()
    {
        var (a, b) = (await OpenAsync(), await OpenAsync());
        for (var i = 0; i < 100; i++)
        {
            var message = new byte[i % 3 == 0 ? 10_000 : 10];
            message[0] = (byte)i;
            a.Channel.Post(message, i % 2 == 0 ? default : b.Id);
            message[0] = 255; // it was copied
        }

        for (var i = 0; i < 100; i++) Assert.Equal(i, (await b.ReadAsync())[0]);
    }

    [Fact]
    public async Task Garbage_is_dropped_and_the_channel_goes_on()
    {
        var (a, b) = (await OpenAsync(), await OpenAsync());
        var (topic, sender) = (AdvisoryKey.Topic("datasync", _source.Name), a.Id.ToGuid().ToString("N"));
        foreach (var payload in new[] { "", "m", "x" + sender, "m" + sender + "not base 64!", "r" + sender + "99999999", "r" + sender + "-1", "r" + sender + "x", "d" + sender + "0", "l", "m" + new string('z', 100) })
            await cluster.ExecuteAsync("SELECT pg_notify($1, $2)", topic, payload);
        b.Fails = true;
        a.Channel.Post([1], default);
        a.Channel.Post([2], default);
        Assert.Equal([2], await b.ReadAsync()); // the handler failed at the first one
    }

    [Fact]
    public async Task Bodies_are_removed_by_age()
    {
        var (a, b) = (await OpenAsync(), await OpenAsync());
        await cluster.ExecuteAsync("INSERT INTO datasync.messages (made, bytes) VALUES (now() - interval '2 minutes', 'old')");
        a.Channel.Post(new byte[10_000], default);
        await b.ReadAsync();
        Assert.Equal(0, await cluster.QueryAsync<long>("SELECT count(*) FROM datasync.messages WHERE bytes = 'old'"));
    }

    /// <summary>A server's own tab, those for which it speaks, and another process.</summary>
    [Fact]
    public async Task Those_of_one_process_hear_each_other_once_and_others_as_ever()
    {
        var source = _source.NewSource();
        var link = new PostgresLink(source, _source.Name);
        var (own, a, b) = (await OpenAsync(source, link), await OpenAsync(source, link, isOwn: false), await OpenAsync(source, link, isOwn: false));
        var elsewhere = await OpenAsync();
        for (var i = 0; i < 30; i++)
        {
            var message = new byte[i % 3 == 0 ? 10_000 : 10];
            message[0] = (byte)i;
            own.Channel.Post(message, i % 2 == 0 ? default : b.Id);
            message[0] = 255; // it was copied
        }

        for (var i = 0; i < 30; i++) Assert.Equal(i, (await b.ReadAsync())[0]);
        for (var i = 0; i < 30; i += 2) Assert.Equal(i, (await a.ReadAsync())[0]);
        for (var i = 0; i < 30; i += 2) Assert.Equal(i, (await elsewhere.ReadAsync())[0]);

        // What is for the process's own tab leaves no trace in PostgreSQL; nobody hears anything twice.
        var before = await cluster.QueryAsync<long>("SELECT count(*) FROM datasync.messages");
        a.Channel.Post(new byte[10_000], own.Id);
        Assert.Equal(10_000, (await own.ReadAsync()).Length);
        Assert.Equal(before, await cluster.QueryAsync<long>("SELECT count(*) FROM datasync.messages"));
        elsewhere.Channel.Post([1], default);
        foreach (var member in new[] { own, a, b }) Assert.Equal([1], await member.ReadAsync());
    }

    /// <summary>A client whose old connection a server still holds for alive has come back to another one.</summary>
    [Fact]
    public async Task One_that_has_come_back_elsewhere_hears_and_is_heard_there()
    {
        var source = _source.NewSource();
        var link = new PostgresLink(source, _source.Name);
        var (own, ghost) = (await OpenAsync(source, link), await OpenAsync(source, link, isOwn: false));
        var back = await OpenAsync(id: ghost.Id);
        own.Channel.Post([1], ghost.Id);
        own.Channel.Post([2], default);
        Assert.Equal([1], await back.ReadAsync());
        Assert.Equal([2], await back.ReadAsync());
        back.Channel.Post([3], own.Id);
        Assert.Equal([3], await own.ReadAsync());
    }

    private async Task<Member> OpenAsync(PostgresSource? source = null, PostgresLink? link = null, bool isOwn = true, TabId? id = null)
    {
        source ??= _source.NewSource();
        var member = new Member(new(source, link ?? new PostgresLink(source, _source.Name), _source.Name, isOwn), id ?? TabId.New(TimeProvider.System));
        _members.Add(member);
        await member.Channel.OpenAsync(member.Id, default);
        return member;
    }

    private sealed class Member
    {
        private readonly Channel<byte[]> _received = System.Threading.Channels.Channel.CreateUnbounded<byte[]>();

        public Member(PostgresCommitChannel channel, TabId id)
        {
            Id = id;
            Channel = channel;
            channel.Received += message =>
            {
                if (Fails)
                {
                    Fails = false;
                    throw new InvalidOperationException("A handler failed.");
                }

                _received.Writer.TryWrite(message);
            };
        }

        public TabId Id { get; }

        public PostgresCommitChannel Channel { get; }

        public bool Fails { get; set; }

        public async Task<byte[]> ReadAsync() => await _received.Reader.ReadAsync().AsTask().WaitAsync(Patience);
    }
}
