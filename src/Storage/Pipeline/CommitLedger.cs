using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// What a tab knows of the durable history: where it ends, which commits it holds, how long the log is, and which
/// extents the log touches. It may be ahead of the tab's image. Guarded by the pipeline's gate.
/// </summary>
internal sealed class CommitLedger
{
    /// <summary>Ids kept beyond the head's: every id of the log, and this many at least.</summary>
    private const int KeptIds = 4096;

    private readonly Dictionary<CommitId, long> _markers = [];
    private readonly Queue<CommitId> _order = new();
    private readonly Dictionary<TabId, Position> _writers = [];
    private readonly Dictionary<CommitId, StatementCommit> _statements = []; // by request
    private readonly HashSet<int> _dirtyExtents = [];

    public CommitLedger(RecoveredStore recovered)
    {
        Head = recovered.Head;
        End = recovered.Image.Position;
        LogRecords = recovered.LogRecords;
        LogBytes = recovered.LogBytes;
        _dirtyExtents.UnionWith(recovered.DirtyExtents);
        var first = End.Marker - recovered.RecentCommits.Count + 1;
        for (var i = 0; i < recovered.RecentCommits.Count; i++)
        {
            var id = recovered.RecentCommits[i];
            Remember(id, first + i);
            if (recovered.RecentResults.TryGetValue(id, out var result)) _statements[id.Request] = new(new(first + i, id), result);
        }

        foreach (var writer in recovered.RecentWriters) _writers[writer.Writer] = writer.Last;
    }

    /// <summary>The head as last read or written.</summary>
    public Head Head { get; private set; }

    /// <summary>The last durable commit that this tab knows of.</summary>
    public Position End { get; private set; }

    public int LogRecords { get; private set; }

    public long LogBytes { get; private set; }

    /// <summary>Extents that the log may hold newer blocks of; a superset after another leader's checkpoint.</summary>
    public IReadOnlyCollection<int> DirtyExtents => _dirtyExtents;

    /// <summary>The marker of a durable commit, or null when it is not known to be one.</summary>
    public long? Find(CommitId id) => _markers.TryGetValue(id, out var marker) ? marker : null;

    /// <summary>The durable commit that answers a request to run statements; null when none is known.</summary>
    public StatementCommit? FindRequest(CommitId request) => _statements.TryGetValue(request, out var commit) ? commit : null;

    /// <summary>A tab's last durable commit, as far as it is known.</summary>
    public Position? LastOf(TabId writer) => _writers.TryGetValue(writer, out var last) ? last : null;

    /// <summary>Adds the commit behind <see cref="End"/>.</summary>
    public void Add(CommitRecord commit)
    {
        if (commit.Base != End) throw new InvalidOperationException($"Commit {commit.Position} does not follow {End}.");
        End = commit.Position;
        LogRecords++;
        LogBytes += commit.Bytes.Length;
        Remember(commit.Id, commit.Marker);
        if (commit.Result is { } result) _statements[commit.Id.Request] = new(commit.Position, result);
        _writers[commit.Writer] = commit.Position;
        foreach (var id in commit.BlockIds) _dirtyExtents.Add((int)(id / Extent.BlockCount));
        foreach (var id in commit.FreedIds) _dirtyExtents.Add((int)(id / Extent.BlockCount));
    }

    /// <summary>The head that a checkpoint at <see cref="End"/> writes.</summary>
    public Head NextHead(Fence fence, TabId holder, long fileSize) => Head with
    {
        Format = Head.CurrentFormat,
        Incarnation = fence.Incarnation,
        Epoch = fence.Epoch,
        Holder = holder,
        Checkpoint = End,
        FileSize = fileSize,
        RecentCommits = [.. _order.TakeLast(Head.RecentCommitCount)],
        RecentResults = ResultsOf(_order.TakeLast(Head.RecentCommitCount)),
        RecentWriters = WriterCommit.Latest(_writers.Select(w => new WriterCommit(w.Key, w.Value))),
    };

    /// <summary>A checkpoint was written, at <see cref="End"/> or (when that was learnt late) before it.</summary>
    public void OnCheckpoint(Head head)
    {
        if (head.Checkpoint.Marker < Head.Checkpoint.Marker) return;
        Head = head;
        if (head.Checkpoint != End)
        {
            // Commits of another leader came in meanwhile: what they touched is not in the extents yet.
            LogRecords = (int)(End.Marker - head.Checkpoint.Marker);
            return;
        }

        LogRecords = 0;
        LogBytes = 0;
        _dirtyExtents.Clear();
    }

    private void Remember(CommitId id, long marker)
    {
        _markers[id] = marker;
        _order.Enqueue(id);
        while (_order.Count > KeptIds)
        {
            var oldest = _order.Dequeue();
            _markers.Remove(oldest);
            if (_statements.TryGetValue(oldest.Request, out var commit) && commit.Position.Commit == oldest) _statements.Remove(oldest.Request);
        }
    }

    private Dictionary<CommitId, StatementResult> ResultsOf(IEnumerable<CommitId> commits)
    {
        var results = new Dictionary<CommitId, StatementResult>();
        foreach (var id in commits) if (_statements.TryGetValue(id.Request, out var commit) && commit.Position.Commit == id) results.Add(id, commit.Result);
        return results;
    }
}
