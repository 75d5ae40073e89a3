using System.Buffers.Binary;
using System.Runtime.InteropServices;
using DataSync.Contracts;
using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>Messages that no tab in its right mind has sent: nothing of them is believed, given room, or stops anybody.</summary>
public sealed class ForgedMessageTests : IDisposable
{
    private readonly Cluster _cluster = new();
    private readonly ICommitChannel _channel;
    private readonly List<byte[]> _heard = [];
    private ulong _lastTag;

    public ForgedMessageTests()
    {
        _channel = _cluster.Bus.CreateChannel(delivery => delivery());
        _channel.Received += _heard.Add;
        _channel.OpenAsync(TabId.New(_cluster.Time), default).AsTask().GetAwaiter().GetResult();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(80_000)]
    [InlineData(Epoch.MaxPlausible)]
    [InlineData(Epoch.MaxValue)]
    public void A_leader_that_the_store_does_not_know_is_not_followed(long above)
    {
        var tabs = _cluster.Open(3);
        Append(tabs[1]);
        for (var i = 0; i < 3; i++)
        {
            Post(Message(CommitMessageKind.Leading) with { Epoch = new(Math.Min(Epoch.MaxValue, 1 + above)), HasJustBegun = true, Durable = 1000 });
            Post(Message(CommitMessageKind.Leading) with { Epoch = new(1), HasJustBegun = true });
            _cluster.Run(1.5);
        }

        foreach (var tab in tabs) Append(tab);
        Assert.Equal(1, _cluster.Load().Head.Epoch.Value);
        Assert.Same(tabs[0], _cluster.Leader);
    }

    [Fact]
    public void A_commit_that_nobody_who_leads_announces_is_not_shown_and_gets_no_room()
    {
        var tabs = _cluster.Open(2);
        Append(tabs[0]);
        _cluster.Run(0.1);
        var end = tabs[1].Pipeline.Position;
        var record = Forge(end, uint.MaxValue - 1, (long)uint.MaxValue * Extent.BlockSize);
        foreach (var sender in new[] { TabId.New(_cluster.Time), tabs[1].Coordinator.Id })
        {
            foreach (var epoch in new[] { 1, 2 })
                Post(Message(CommitMessageKind.Committed) with { Sender = sender, Epoch = new(epoch), Position = record.Position, Durable = record.Marker, Records = [record.Bytes.ToArray()] });
        }

        _cluster.Run(1);
        Assert.Equal(end, tabs[1].Pipeline.Position);
        Append(tabs[1]);
        Assert.True(_cluster.Load().Image.ExtentCount < 4);
    }

    [Theory]
    [InlineData(uint.MaxValue - 1, 8192)]
    [InlineData(1, 1L << 60)]
    public void A_commit_whose_blocks_lie_behind_the_databases_end_or_whose_end_is_out_of_reach_is_not_taken_even_from_the_leader_or_a_writer(uint block, long fileSize)
    {
        var tabs = _cluster.Open(2);
        Append(tabs[0]);
        _cluster.Run(0.1);
        var end = tabs[1].Pipeline.Position;
        var leader = tabs[0].Coordinator.Id;
        var record = Forge(end, block, fileSize);
        Post(Message(CommitMessageKind.Committed) with { Sender = leader, Position = record.Position, Durable = record.Marker, Records = [record.Bytes.ToArray()] });
        Post(Message(CommitMessageKind.Commit) with { Sender = tabs[1].Coordinator.Id, To = leader, Position = record.Position, Records = [record.Bytes.ToArray()] });
        _cluster.Run(1);
        Assert.All(tabs, tab => Assert.Equal(end, tab.Pipeline.Position));
        Append(tabs[1]);
    }

    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 2)]
    public void A_commit_that_its_sender_did_not_write_or_that_is_meant_for_another_leadership_is_not_taken(bool isAnothers, long epoch)
    {
        var tabs = _cluster.Open(2);
        Append(tabs[0]);
        _cluster.Run(0.1);
        var end = tabs[1].Pipeline.Position;
        var record = Forge(end, 1, 16384);
        var sender = isAnothers ? tabs[1].Coordinator.Id : record.Writer;
        Post(Message(CommitMessageKind.Commit) with { Epoch = new(epoch), Sender = sender, To = tabs[0].Coordinator.Id, Position = record.Position, Records = [record.Bytes.ToArray()] });
        _cluster.Run(1);
        Assert.All(tabs, tab => Assert.Equal(end, tab.Pipeline.Position));
        Append(tabs[1]);
    }

    [Fact]
    public void A_refusal_of_a_tab_that_does_not_lead_fails_no_commit()
    {
        var tabs = _cluster.Open(2);
        Append(tabs[1]);
        var held = tabs[0].Store.HoldAt(StoreOperation.Append);
        _heard.Clear();
        var write = _cluster.Start(() => tabs[1].AppendAsync(++_lastTag));
        _cluster.Run(0.1);
        var sent = Assert.Single(Heard(CommitMessageKind.Commit));
        Post(Message(CommitMessageKind.Refused) with { To = tabs[1].Coordinator.Id, Position = sent.Position, Code = StorageErrorCode.Quota, Text = "no room" });
        _cluster.Run(0.1);
        Assert.False(write.IsCompleted);
        _cluster.Do(held.Release);
        Assert.Equal(1, _cluster.Wait(write));
    }

    [Fact]
    public void A_turn_of_a_tab_that_does_not_lead_is_none()
    {
        var tabs = _cluster.Open(2);
        Append(tabs[1]);
        var turn = _cluster.Wait(_cluster.Start(() => tabs[0].Pipeline.BeginWriteAsync(exclusive: true).AsTask()));
        _heard.Clear();
        var asking = _cluster.Start(() => tabs[1].Pipeline.BeginWriteAsync(exclusive: true).AsTask());
        _cluster.Run(0.1);
        var asked = Heard(CommitMessageKind.TurnRequest).First();
        var end = tabs[1].Pipeline.Position;
        Post(Message(CommitMessageKind.TurnGrant) with { To = tabs[1].Coordinator.Id, Turn = asked.Turn, Position = end, Durable = end.Marker });
        _cluster.Run(0.1);
        Assert.False(asking.IsCompleted);
        _cluster.Do(turn.Dispose);
        _cluster.Do(_cluster.Wait(asking).Dispose);
    }

    [Fact]
    public void A_commit_that_frees_what_never_was_there_gets_no_room()
    {
        using var image = new BlockImage();
        image.Apply(Forge(Position.Start, 1, 8192, freed: [1 << 20]));
        Assert.Equal(1, image.ExtentCount);
    }

    [Fact]
    public void A_message_of_another_store_is_nobodys_business()
    {
        var tabs = _cluster.Open(2);
        Append(tabs[1]);
        _cluster.Run(0.1);
        var leader = tabs[0].Coordinator.Id;
        var record = Forge(tabs[1].Pipeline.Position, 1, 16384);
        var reads = tabs[1].Store.CountOf(StoreOperation.Read);
        Post(Message(CommitMessageKind.Committed) with
        {
            Sender = leader, Incarnation = Guid.NewGuid(), Position = record.Position, Durable = record.Marker, Records = [record.Bytes.ToArray()],
        });
        _cluster.Run(0.5);
        Assert.Equal(1, tabs[1].Pipeline.Position.Marker);
        Assert.Equal(reads, tabs[1].Store.CountOf(StoreOperation.Read));
    }

    [Fact]
    public void A_commit_is_sent_once_however_long_its_append_takes_and_again_when_the_leader_never_got_it()
    {
        var tabs = _cluster.Open(2);
        Append(tabs[1]);
        var held = tabs[0].Store.HoldAt(StoreOperation.Append);
        _heard.Clear();
        var write = _cluster.Start(() => tabs[1].AppendAsync(++_lastTag));
        _cluster.Run(8);
        Assert.Single(Heard(CommitMessageKind.Commit));
        Assert.True(Heard(CommitMessageKind.Question).Count() > 3);
        _cluster.Do(held.Release);
        _cluster.Wait(write);

        // Lost on its way: the leader asks for it.
        _heard.Clear();
        var route = _cluster.Route;
        _cluster.Route = () => [];
        write = _cluster.Start(() => tabs[1].AppendAsync(++_lastTag));
        _cluster.Run(0.1);
        _cluster.Route = route;
        _cluster.Wait(write);
        Assert.Equal(2, Heard(CommitMessageKind.Commit).Count());
        Assert.Equal(tabs[0].List(), tabs[1].List());
    }

    /// <summary>Every kind of message and of record, with valid bytes changed at random.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Changed_messages_change_nothing(int seed)
    {
        const int Rounds = 40, Each = 25;
        var random = new Random(seed);
        var tabs = _cluster.Open(3);
        var writes = Enumerable.Range(0, 12).Select(i => _cluster.Start(() => tabs[i % 3].AppendAsync(++_lastTag, exclusive: i % 2 == 0))).ToList();
        writes.ForEach(write => _cluster.Wait(write));
        _cluster.Wait(_cluster.Start(() => tabs[1].SendAsync(++_lastTag)));
        Post(Message(CommitMessageKind.WhoLeads));
        var held = tabs[0].Store.HoldAt(StoreOperation.Append);
        var slow = _cluster.Start(() => tabs[1].AppendAsync(++_lastTag));
        _cluster.Run(2);
        _cluster.Do(held.Release);
        _cluster.Wait(slow);
        var kinds = _heard.Select(Parse).OfType<CommitMessage>().Select(m => m.Kind).ToHashSet();
        foreach (var kind in Enum.GetValues<CommitMessageKind>().Except([CommitMessageKind.Refused, CommitMessageKind.TurnRelease, CommitMessageKind.Missing])) Assert.Contains(kind, kinds);
        var samples = _heard.ToList();
        for (var round = 0; round < Rounds; round++)
        {
            for (var i = 0; i < Each; i++) Post(Change(samples[random.Next(samples.Count)], random));
            _cluster.Run(0.05);
            Append(tabs[round % 3]);
        }

        _cluster.Run(2);
        Assert.Equal(1, _cluster.Load().Head.Epoch.Value);
        Assert.All(tabs, tab => Assert.Null(tab.Pipeline.Fault));
        Assert.All(tabs, tab => Assert.Equal(ClusterTab.ReadList(_cluster.Load().Image), tab.List()));
        Assert.Equal(tabs[0].List().Count, tabs[0].List().Distinct().Count());
        Assert.True(_cluster.Load().Image.ExtentCount < 4);
        foreach (var tab in tabs) Append(tab);
    }

    [Theory]
    [InlineData(11)]
    [InlineData(12)]
    public void Changed_records_are_not_taken_for_whole(int seed)
    {
        var random = new Random(seed);
        var original = Forge(new Position(6, CommitId.New()), 3, 40_000).Bytes.ToArray();
        for (var i = 0; i < 3000; i++)
        {
            var bytes = original.ToArray();
            for (var changes = random.Next(1, 4); changes > 0; changes--) bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            if (random.Next(4) == 0) bytes = bytes[..random.Next(bytes.Length)];
            if (bytes.AsSpan().SequenceEqual(original)) continue;
            Assert.Null(CommitRecord.Parse(bytes, verifyBlocks: true, out var error));
            Assert.NotNull(error);
            _ = CommitRecord.IsCutShort(bytes);
            _ = CommitRecord.TryReadHeader(bytes, out _, out _, out _);
            _ = CommitRecord.FindBadBlocks(bytes);
        }
    }

    public void Dispose() => _cluster.Dispose();

    private IEnumerable<CommitMessage> Heard(CommitMessageKind kind) => _heard.Select(Parse).OfType<CommitMessage>().Where(m => m.Kind == kind);

    private void Append(ClusterTab tab)
    {
        var tag = ++_lastTag;
        _cluster.Wait(_cluster.Start(() => tab.AppendAsync(tag)));
        _cluster.Run(0.05);
        Assert.All(_cluster.Live, other => Assert.Equal(1, other.List().Count(t => t == tag)));
    }

    private static CommitMessage? Parse(byte[] bytes) => CommitMessage.TryParse(bytes);

    private CommitMessage Message(CommitMessageKind kind) => new()
    {
        Kind = kind, Epoch = new(1), Sender = TabId.New(_cluster.Time), Incarnation = _cluster.Load().Head.Incarnation,
    };

    private void Post(CommitMessage message) => Post(message.Encode());

    private void Post(byte[] bytes) => _cluster.Do(() => _channel.Post(bytes, default));

    /// <summary>Any bytes; or one field of the header, sealed again, from a sender that is not the leader.</summary>
    private static byte[] Change(byte[] sample, Random random)
    {
        const int EpochOffset = 8, SenderOffset = 16, HashOffset = 116;
        var bytes = sample.ToArray();
        if (random.Next(2) == 0)
        {
            for (var changes = random.Next(1, 4); changes > 0; changes--) bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            return bytes;
        }

        foreach (var offset in (int[])[EpochOffset, 64, 88, 96])
        {
            if (random.Next(2) == 0) BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(offset), random.Next(4) == 0 ? random.NextInt64() : random.NextInt64(20));
        }

        if (random.Next(2) == 0) bytes[5] = (byte)random.Next(1, 11);
        if (random.Next(4) == 0) BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(112), random.Next(-1, 70_000));
        bytes[SenderOffset + 15] ^= 0x55;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(HashOffset), unchecked((uint)Checksum.Compute(ChecksumKind.FastHash, bytes.AsSpan(0, HashOffset))));
        return bytes;
    }

    private CommitRecord Forge(Position after, uint block, long fileSize, params uint[] freed)
    {
        var buffer = new byte[Extent.BlockSize];
        var pinned = GCHandle.Alloc(buffer, GCHandleType.Pinned);
        try
        {
            return CommitRecord.Seal(
                CommitId.New(), after, TabId.New(_cluster.Time), 0, fileSize, ChecksumKind.FastHash, [block], freed, _ => pinned.AddrOfPinnedObject())
                .Stamp(new Fence(_cluster.Load().Head.Incarnation, new(1)));
        }
        finally
        {
            pinned.Free();
        }
    }
}
