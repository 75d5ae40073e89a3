using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using DataSync.Coordination;

namespace DataSync.Storage.Tests.Files;

/// <summary>
/// A leader that appends commits and groups of commits, frees blocks, changes the file's size, checkpoints and takes over
/// anew, by a seed; and a model that knows what every marker's state must be.
/// </summary>
internal sealed class StoreScript(int seed, int actions = 12) : IDisposable
{
    private static readonly TabId Tab = TabId.New(TimeProvider.System);
    private readonly Random _random = new(seed);
    private readonly BlockImage _image = new();
    private readonly List<CommitId> _recent = [];
    private readonly SortedSet<int> _dirty = [];
    private Head? _head;
    private List<CommitRecord>? _group;
    private int _actions = actions;
    private int _done;

    /// <summary>What each marker's state is, those inside a group too.</summary>
    public Dictionary<long, string> States { get; } = new() { [0] = Describe(new BlockImage()) };

    /// <summary>The marker that the store said is durable.</summary>
    public long Acknowledged { get; private set; }

    /// <summary>The marker that the store was asked for last.</summary>
    public long InFlight { get; private set; }

    private Fence Fence => new(_head!.Incarnation, _head.Epoch);

    /// <summary>Runs to the end, or to the store's first error; called again it goes on with the step that failed.</summary>
    public async Task RunAsync(IBlockStore store, bool isOpen)
    {
        if (!isOpen) await store.OpenAsync(default);
        if (_head is null || !isOpen) await LeadAsync(store);
        for (; _done < _actions; _done++)
        {
            var action = _group is null ? _random.Next(10) : 0;
            if (action < 6) await AppendAsync(store);
            else if (action < 9) await CheckpointAsync(store);
            else await LeadAsync(store);
        }
    }

    /// <summary>The script learns what the store holds: what was in flight may have come to be.</summary>
    public void Resume(long marker)
    {
        if (marker == InFlight && _group is not null) Accept(_group);
    }

    /// <summary>Goes on for so many actions more.</summary>
    public void Extend(int more) => _actions = _done + more;

    /// <summary>A state in one line that differs wherever two states do.</summary>
    public static string Describe(BlockImage image)
    {
        var text = new StringBuilder(string.Create(CultureInfo.InvariantCulture, $"{image.Position} {image.FileSize}"));
        for (var index = 0; index < image.ExtentCount; index++)
        {
            if (image.Find(index) is not { } extent) continue;
            for (var block = 0; block < Extent.BlockCount; block++)
            {
                if (!extent.IsPresent(block)) continue;
                var hash = Checksum.Compute(ChecksumKind.FastHash, extent.Block(block));
                text.Append(CultureInfo.InvariantCulture, $" {index * Extent.BlockCount + block}:{extent[block].Version}:{hash:x}");
            }
        }

        return text.ToString();
    }

    public void Dispose() => _image.Dispose();

    private async Task LeadAsync(IBlockStore store)
    {
        var head = await StoreHead.ReadAsync(store);
        _head = await store.RaiseEpochAsync(head.Incarnation, default, Tab, default);
    }

    private async Task AppendAsync(IBlockStore store)
    {
        if (_group is null)
        {
            _group = [];
            var position = _image.Position;
            for (var count = _random.Next(1, 4); count > 0; count--)
            {
                _group.Add(MakeCommit(position));
                position = _group[^1].Position;
            }

            InFlight = position.Marker;
            Foresee(_group);
        }

        for (var i = 0; i < _group.Count; i++) _group[i] = _group[i].Stamp(Fence);
        await store.AppendAsync(Fence, _group, default);
        Accept(_group);
    }

    private void Foresee(List<CommitRecord> group)
    {
        // Block by block from copies, so that a failed append leaves the model where it was.
        using var copy = new BlockImage();
        for (var index = 0; index < _image.ExtentCount; index++)
        {
            if (_image.Find(index) is { } extent) extent.RecordBytes.CopyTo(copy.GetOrAdd(index).RecordBytes);
        }

        (copy.Position, copy.FileSize) = (_image.Position, _image.FileSize);
        foreach (var commit in group)
        {
            copy.Apply(commit);
            States[commit.Marker] = Describe(copy);
        }
    }

    private void Accept(List<CommitRecord> group)
    {
        foreach (var commit in group)
        {
            _image.Apply(commit);
            _recent.Add(commit.Id);
            foreach (var id in commit.BlockIds) _dirty.Add((int)(id / Extent.BlockCount));
            foreach (var id in commit.FreedIds) _dirty.Add((int)(id / Extent.BlockCount));
        }

        Acknowledged = InFlight = _image.Position.Marker;
        _group = null;
    }

    private async Task CheckpointAsync(IBlockStore store)
    {
        var extents = _dirty.Where(index => _image.Find(index) is not null).Select(Copy).ToList(); // freed where nothing was: no extent
        var head = _head! with
        {
            Checkpoint = _image.Position,
            FileSize = _image.FileSize,
            RecentCommits = [.. _recent.TakeLast(Head.RecentCommitCount)],
        };
        await store.CheckpointAsync(Fence, new Checkpoint(head, extents), default);
        extents.ForEach(extent => extent.Dispose());
        _head = head;
        _dirty.Clear();
    }

    private Extent Copy(int index)
    {
        var copy = new Extent(index);
        _image.Find(index)!.RecordBytes.CopyTo(copy.RecordBytes);
        copy.SealRecord(_head!.Incarnation, _head.Checksum);
        return copy;
    }

    private CommitRecord MakeCommit(Position after)
    {
        // Blocks of three extents; some commits free what others wrote.
        var touched = Enumerable.Range(0, _random.Next(1, 6)).Select(_ => (uint)_random.Next(190)).Distinct().Order().ToList();
        var freed = touched.Where(_ => _random.Next(4) == 0).ToArray();
        var buffer = new byte[Extent.BlockSize];
        var pinned = GCHandle.Alloc(buffer, GCHandleType.Pinned);
        try
        {
            return CommitRecord.Seal(
                CommitId.New(), after, Tab, after.Marker, _random.Next(1, 190) * 4096L, ChecksumKind.FastHash, [.. touched.Except(freed)], freed, _ =>
                {
                    _random.NextBytes(buffer);
                    return pinned.AddrOfPinnedObject();
                });
        }
        finally
        {
            pinned.Free();
        }
    }
}

/// <summary>Reads a store's head only.</summary>
internal sealed class StoreHead : IStoreReadSink
{
    private Head? _head;

    public static async Task<Head> ReadAsync(IBlockStore store)
    {
        var sink = new StoreHead();
        await store.ReadAsync(new StoreRead(sink, IncludeExtents: false, long.MaxValue - 1), default);
        return sink._head!;
    }

    public void OnHead(Head head, int extents, int logRecords) => _head = head;

    public void OnExtent(Extent extent, int recordSize) => extent.Dispose();

    public void OnLog(long marker, byte[] record, bool mayBeTorn)
    {
    }
}
