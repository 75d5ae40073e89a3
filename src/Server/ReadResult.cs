using DataSync.Remote;
using DataSync.Storage;

namespace DataSync.Server;

/// <summary>What one read of the store gave, until it is sent.</summary>
internal sealed class ReadResult : IStoreReadSink, IDisposable
{
    /// <summary>For a request that is only looked at.</summary>
    public static readonly ReadResult None = new();

    private readonly Queue<(Extent Extent, int Size)> _extents = new();
    private readonly Queue<(long Marker, byte[] Record, bool MayBeTorn)> _log = new();
    private byte[] _head = [];
    private byte[]? _list;

    public void OnHead(Head head, int extents, int logRecords) => _head = Bodies.Head(head, extents, logRecords);

    public void OnExtentList(IReadOnlyList<int> indices) => _list = Bodies.ExtentList(indices);

    public void OnExtent(Extent extent, int recordSize) => _extents.Enqueue((extent, recordSize));

    public void OnLog(long marker, byte[] record, bool mayBeTorn) => _log.Enqueue((marker, record, mayBeTorn));

    /// <summary>In the order of a read; what was taken is free.</summary>
    public IEnumerable<(FrameKind Kind, byte[] Body)> TakeFrames()
    {
        yield return (FrameKind.Head, _head);
        if (_list is not null) yield return (FrameKind.ExtentList, _list);
        while (_extents.TryDequeue(out var next))
        {
            using var extent = next.Extent;
            yield return (FrameKind.Extent, Bodies.Extent(extent, next.Size));
        }

        while (_log.TryDequeue(out var next))
        {
            foreach (var part in Bodies.Log(next.Marker, next.Record, next.MayBeTorn)) yield return (FrameKind.Log, part);
        }
    }

    public void Dispose()
    {
        while (_extents.TryDequeue(out var left)) left.Extent.Dispose();
    }
}
