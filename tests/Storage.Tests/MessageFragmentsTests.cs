using Xunit;

namespace DataSync.Storage.Tests;

/// <summary>Messages that are larger than the channel takes travel in parts; those that miss one never come out.</summary>
public sealed class MessageFragmentsTests
{
    private static readonly byte[] Large = Bytes(2 * MessageFragments.MaxPart + 12_345, seed: 1);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(MessageFragments.MaxPart)]
    public void A_message_that_fits_travels_as_it_is(int length)
    {
        var message = Bytes(length, seed: 2);
        var part = Assert.Single(MessageFragments.Split(message));
        Assert.Same(message, part);
        Assert.Same(part, new MessageFragments().Add(part));
    }

    [Theory]
    [InlineData(MessageFragments.MaxPart + 1, 2)]
    [InlineData(2 * (MessageFragments.MaxPart - 40), 2)]
    [InlineData(2 * (MessageFragments.MaxPart - 40) + 1, 3)]
    public void A_large_one_is_put_together_again(int length, int parts)
    {
        var message = Bytes(length, seed: 3);
        var split = MessageFragments.Split(message).ToArray();
        Assert.Equal(parts, split.Length);
        Assert.All(split, part => Assert.True(part.Length <= MessageFragments.MaxPart));

        var fragments = new MessageFragments();
        Assert.All(split[..^1], part => Assert.Null(fragments.Add(part)));
        Assert.True(message.AsSpan().SequenceEqual(fragments.Add(split[^1])));
    }

    [Fact]
    public void Small_messages_pass_between_the_parts_of_a_large_one()
    {
        var fragments = new MessageFragments();
        var small = Bytes(200, seed: 4);
        byte[]? whole = null;
        foreach (var part in MessageFragments.Split(Large))
        {
            Assert.Same(small, fragments.Add(small));
            whole = fragments.Add(part);
        }

        Assert.True(Large.AsSpan().SequenceEqual(whole));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void One_that_misses_a_part_never_comes_out_and_the_next_one_does(int missing)
    {
        var fragments = new MessageFragments();
        var parts = MessageFragments.Split(Large).ToList();
        parts.RemoveAt(missing);
        Assert.All(parts, part => Assert.Null(fragments.Add(part)));
        Assert.True(Large.AsSpan().SequenceEqual(AddAll(fragments, MessageFragments.Split(Large))));
    }

    [Fact]
    public void A_part_that_comes_twice_spoils_its_message_only()
    {
        var fragments = new MessageFragments();
        var parts = MessageFragments.Split(Large).ToArray();
        Assert.Null(AddAll(fragments, [parts[0], parts[1], parts[1], parts[2]]));
        Assert.True(Large.AsSpan().SequenceEqual(AddAll(fragments, parts)));
    }

    [Fact]
    public void Parts_of_another_message_in_between_do_not_get_mixed_in()
    {
        var fragments = new MessageFragments();
        var first = MessageFragments.Split(Large).ToArray();
        var second = MessageFragments.Split(Bytes(Large.Length, seed: 5)).ToArray();
        Assert.Null(AddAll(fragments, [first[0], second[1], second[2]]));
        Assert.True(Large.AsSpan().SequenceEqual(AddAll(fragments, first[1..])));
    }

    [Fact]
    public void A_header_that_promises_much_makes_no_room()
    {
        var fragments = new MessageFragments();
        var part = MessageFragments.Split(Large).First();
        var before = GC.GetAllocatedBytesForCurrentThread();
        foreach (var promised in new[] { long.MaxValue, MessageFragments.MaxMessage, MessageFragments.MaxMessage + 1, -1, 0 })
        {
            var header = part.AsSpan(0, 200).ToArray();
            BitConverter.TryWriteBytes(header.AsSpan(32), promised);
            BitConverter.TryWriteBytes(header.AsSpan(28), (int)((Math.Clamp(promised, 0, MessageFragments.MaxMessage) + MessageFragments.MaxPart - 41) / (MessageFragments.MaxPart - 40)));
            Assert.Null(fragments.Add(header));
        }

        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 100_000);
    }

    [Fact]
    public void Noise_behind_the_mark_of_a_part_throws_nothing()
    {
        var random = new Random(6);
        var fragments = new MessageFragments();
        var mark = MessageFragments.Split(Large).First()[..4];
        for (var round = 0; round < 10_000; round++) Assert.Null(fragments.Add([.. mark, .. Bytes(random.Next(36, 100), round)]));
        Assert.True(Large.AsSpan().SequenceEqual(AddAll(fragments, MessageFragments.Split(Large))));
    }

    private static byte[]? AddAll(MessageFragments fragments, IEnumerable<byte[]> parts)
    {
        byte[]? whole = null;
        foreach (var part in parts) whole = fragments.Add(part);
        return whole;
    }

    private static byte[] Bytes(int length, int seed)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
