using System.Buffers.Binary;
using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>A tab of this version of the app beside one of the version before, which leads: what is written must be readable there, until this one leads.</summary>
public sealed class FormatTests : IDisposable
{
    private readonly Cluster _cluster = new();

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public void Commits_have_the_stores_format_until_a_tab_of_this_version_leads()
    {
        var older = _cluster.Open();
        _cluster.Run(1);
        Assert.True(older.Pipeline.IsLeading);
        SetFormat(2);
        var newer = _cluster.Open();
        Append(newer, 1);
        Assert.Equal((2, null), (FormatOf(1), CommitRecord.Parse(_cluster.Medium.GetRecord(StoreRecordKind.Log, 1)!, verifyBlocks: true, out _)!.Tables.Names));

        older.CloseTab();
        _cluster.Run(1);
        Assert.True(newer.Pipeline.IsLeading);
        Assert.Equal(Head.CurrentFormat, _cluster.Load().Head.Format); // from here on the older version says that it is too old
        Append(newer, 2);
        Assert.Equal(Head.CurrentFormat, FormatOf(2));
        Assert.Equal([1UL, 2], ClusterTab.ReadList(_cluster.Load().Image));
    }

    [Fact]
    public void A_tab_that_was_there_before_hears_of_the_new_format_from_the_head()
    {
        var older = _cluster.Open();
        _cluster.Run(1);
        SetFormat(2);
        var (next, other) = (_cluster.Open(), _cluster.Open());
        older.CloseTab();
        _cluster.Run(2);
        var follower = next.Pipeline.IsLeading ? other : next;
        Append(follower, 1);
        Append(follower, 2);
        Assert.Equal(Head.CurrentFormat, FormatOf(2));
    }

    private void Append(ClusterTab tab, ulong tag) => _cluster.Wait(_cluster.Start(() => tab.AppendAsync(tag)));

    private int FormatOf(long marker) => BinaryPrimitives.ReadUInt16LittleEndian(_cluster.Medium.GetRecord(StoreRecordKind.Log, marker).AsSpan(4));

    private void SetFormat(int format)
    {
        var bytes = HeadCodec.Encode(HeadCodec.Decode(_cluster.Medium.GetRecord(StoreRecordKind.Head, 0)!) with { Format = format });
        _cluster.Medium.SetRecord(StoreRecordKind.Head, 0, bytes);
        _cluster.Medium.SetRecord(StoreRecordKind.HeadCopy, 0, bytes);
    }
}
