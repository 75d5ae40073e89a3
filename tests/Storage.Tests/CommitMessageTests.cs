using System.Buffers.Binary;
using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests;

/// <summary>The binary form of the messages between tabs: what comes back, and that nothing else does.</summary>
public sealed class CommitMessageTests
{
    private static readonly CommitMessage Full = new()
    {
        Kind = CommitMessageKind.TurnGrant,
        Epoch = new Epoch(77),
        Sender = TabId.New(TimeProvider.System),
        To = TabId.New(TimeProvider.System),
        Incarnation = Guid.NewGuid(),
        Position = new Position(1L << 40, CommitId.New()),
        Turn = 12,
        Durable = 1L << 39,
        Code = StorageErrorCode.Quota,
        HasJustBegun = true,
        Text = "no room – ä€😀",
        Records = [[1, 2, 3], [], new byte[5000]],
    };

    private static readonly CommitMessage Bare = new()
    {
        Kind = CommitMessageKind.Commit,
        Epoch = default,
        Sender = TabId.New(TimeProvider.System),
        Incarnation = Guid.Empty,
    };

    [Fact]
    public void A_message_comes_back_as_it_was()
    {
        foreach (var message in new[] { Full, Bare })
        {
            var read = CommitMessage.TryParse(message.Encode())!;
            Assert.Equal(message.Records, read.Records);
            Assert.Equal(message, read with { Records = message.Records });
        }
    }

    [Theory]
    [InlineData(Epoch.MaxPlausible, true)]
    [InlineData(Epoch.MaxPlausible + 1, false)]
    [InlineData(Epoch.MaxValue, false)]
    public void A_message_under_an_epoch_that_nobody_reaches_by_leading_is_none(long epoch, bool isOne) =>
        Assert.Equal(isOne, CommitMessage.TryParse((Full with { Epoch = new(epoch) }).Encode()) is not null);

    [Fact]
    public void A_message_of_nobody_or_with_numbers_below_zero_is_none()
    {
        CommitMessage[] wrong =
        [
            Full with { Sender = default }, Full with { Epoch = new(-1) }, Full with { Position = Full.Position with { Marker = -1 } },
            Full with { Turn = -1 }, Full with { Durable = -1 },
        ];
        Assert.All(wrong, message => Assert.Null(CommitMessage.TryParse(message.Encode())));
    }

    [Theory]
    [InlineData(112, -1)]
    [InlineData(112, 1_000_000)]
    [InlineData(108, int.MinValue)]
    [InlineData(108, 1_000_000)]
    public void A_message_that_promises_more_than_it_holds_is_none_and_gets_no_room(int offset, int count)
    {
        var bytes = Full.Encode();
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(offset), count);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(116), unchecked((uint)Checksum.Compute(ChecksumKind.FastHash, bytes.AsSpan(0, 116))));
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Null(CommitMessage.TryParse(bytes));
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1_000_000);
    }

    [Fact]
    public void A_message_that_is_cut_short_or_too_long_is_none()
    {
        var bytes = Full.Encode();
        for (var length = 0; length < bytes.Length; length += length < 400 ? 1 : 97) Assert.Null(CommitMessage.TryParse(bytes.AsSpan(0, length)));
        Assert.Null(CommitMessage.TryParse([.. bytes, 0]));
    }

    [Fact]
    public void A_message_with_any_byte_of_its_header_changed_is_none()
    {
        var bytes = Full.Encode();
        for (var at = 0; at < 120; at++)
        {
            foreach (var mask in new byte[] { 1, 0x80, 0xFF })
            {
                bytes[at] ^= mask;
                Assert.True(CommitMessage.TryParse(bytes) is null, $"byte {at}, mask {mask}");
                bytes[at] ^= mask;
            }
        }

        Assert.NotNull(CommitMessage.TryParse(bytes));
    }

    [Fact]
    public void Noise_is_no_message_and_throws_nothing()
    {
        var random = new Random(42);
        var real = Full.Encode();
        for (var round = 0; round < 20_000; round++)
        {
            var noise = round % 2 == 0 ? new byte[random.Next(0, 400)] : real.AsSpan().ToArray();
            if (round % 2 == 0) random.NextBytes(noise);
            else random.NextBytes(noise.AsSpan(random.Next(0, 100), random.Next(1, 20)));
            if (!noise.SequenceEqual(real)) Assert.Null(CommitMessage.TryParse(noise));
        }
    }

    [Fact]
    public void Noise_in_the_records_never_throws()
    {
        var random = new Random(43);
        for (var round = 0; round < 2_000; round++)
        {
            var bytes = Full.Encode();
            random.NextBytes(bytes.AsSpan(120 + random.Next(0, 60), 4));
            _ = CommitMessage.TryParse(bytes);
        }
    }
}
