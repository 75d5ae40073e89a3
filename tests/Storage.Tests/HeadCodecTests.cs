using System.Text;
using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests;

public sealed class HeadCodecTests
{
    private static readonly Head Full = new()
    {
        Incarnation = Guid.NewGuid(),
        Epoch = new Epoch(Epoch.MaxValue),
        Holder = TabId.New(TimeProvider.System),
        Checkpoint = new Position(1L << 52, CommitId.New()),
        FileSize = 1L << 50,
        Checksum = ChecksumKind.Crc32,
        RecentCommits = [CommitId.New(), CommitId.New()],
        RecentResults = new Dictionary<CommitId, StatementResult> { [CommitId.New()] = new(3, long.MinValue + 1), [CommitId.New()] = new(0, null), [CommitId.New()] = new(int.MaxValue, 7) },
        RecentWriters = [new(TabId.New(TimeProvider.System), new(7, CommitId.New()))],
    };

    [Fact]
    public void A_head_comes_back_as_it_was()
    {
        foreach (var head in new[] { Full, new Head { Incarnation = Guid.NewGuid(), Epoch = default } })
        {
            var decoded = HeadCodec.Decode(HeadCodec.Encode(head));
            Assert.Equal(head.RecentCommits, decoded.RecentCommits);
            Assert.Equal(head.RecentWriters, decoded.RecentWriters);
            Assert.Equal(head.RecentResults, decoded.RecentResults);
            Assert.Equal(head, decoded with { RecentCommits = head.RecentCommits, RecentResults = head.RecentResults, RecentWriters = head.RecentWriters });
        }
    }

    /// <summary>Written by DataSync before it kept what statements did.</summary>
    [Fact]
    public void A_head_of_the_first_format_is_read()
    {
        const string Text = """{"format":1,"incarnation":"00000000-0000-0000-0000-0000000000ff","epoch":7,"holder":null,"marker":1,"commit":"0000000000000000000000000000000a","fileSize":4096,"checksum":0,"recentCommits":"0000000000000000000000000000000a","recentWriters":{}""";
        var check = Checksum.Compute(ChecksumKind.FastHash, Encoding.UTF8.GetBytes(Text));
        var head = HeadCodec.Decode(Encoding.UTF8.GetBytes($"{Text},\"check\":\"{check:x16}\"}}"));
        Assert.Equal((1, 7), (head.Format, head.Epoch.Value));
        Assert.Empty(head.RecentResults);
    }

    [Fact]
    public void A_newer_format_is_named_whatever_else_the_head_holds()
    {
        var error = Assert.Throws<StoreFormatException>(() => HeadCodec.Decode(Encoding.UTF8.GetBytes("""{"format":9,"other":[]}""")));
        Assert.Equal(9, error.Found);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("\"text\"")]
    [InlineData("""{"format":"1"}""")]
    [InlineData("""{"format":1e99}""")]
    [InlineData("""{"format":1}""")]
    public void What_is_no_head_is_called_corrupt(string text) =>
        Assert.Throws<CorruptStoreException>(() => HeadCodec.Decode(Encoding.UTF8.GetBytes(text)));

    [Fact]
    public void A_flipped_bit_anywhere_is_noticed()
    {
        var text = HeadCodec.Encode(Full);
        for (var i = 0; i < text.Length; i++)
        {
            text[i] ^= 1;
            Assert.ThrowsAny<StorageException>(() => HeadCodec.Decode(text));
            text[i] ^= 1;
        }
    }

    [Fact]
    public async Task IndexedDB_outside_a_browser_is_said_to_be_unavailable()
    {
        await using var store = new IndexedDbBlockStore("app.db");
        await Assert.ThrowsAsync<StorageUnavailableException>(async () => await store.OpenAsync(CancellationToken.None));
        await Assert.ThrowsAsync<StorageUnavailableException>(async () => await BrowserStorage.EstimateAsync(CancellationToken.None));
        Assert.Throws<ArgumentException>(() => new IndexedDbBlockStore(""));
        Assert.Throws<ArgumentException>(() => new IndexedDbBlockStore("app.db", new() { BlockedTimeout = TimeSpan.Zero }));
    }
}
