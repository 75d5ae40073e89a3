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
            Assert.Equal(head, decoded with { RecentCommits = head.RecentCommits, RecentWriters = head.RecentWriters });
        }
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
