namespace DataSync.Storage;

/// <summary>
/// Takes in a whole store and makes of it an image, and a report of what was wrong; or, without
/// <paramref name="keepsImage"/>, the report only.
/// </summary>
internal sealed class RecoveryReader(Head? opened, RecoveryOptions options, bool keepsImage = true) : IStoreReadSink, IDisposable
{
    private readonly BlockImage _image = new();
    private readonly List<StoredLog> _log = [];
    private readonly List<RecoveryFinding> _findings = [];
    private readonly SortedSet<int> _damaged = [];
    private readonly SortedSet<int> _dirty = [];
    private readonly List<WriterCommit> _writers = [];
    private readonly List<Extent> _ahead = [];
    private Head? _head;
    private IReadOnlyList<int> _list = [];
    private int _total, _extents;

    public void OnHead(Head head, int extents, int logRecords)
    {
        if (opened is not null && head.Incarnation != opened.Incarnation) throw new StoreReplacedException();
        _head = head;
        if (head.Damage is { } damage) _findings.Add(new(RecoveryFindingKind.CorruptHead, "head", damage + "; its copy is sound", []));
        _total = extents + logRecords;
        Report();
    }

    public void OnExtentList(IReadOnlyList<int> indices)
    {
        _list = indices;
        foreach (var index in indices.Where(index => index > ExtentVerifier.MaxIndex))
            _findings.Add(new(RecoveryFindingKind.CorruptExtent, FormattableString.Invariant($"extent {index}"), "its place lies beyond any database", []));
    }

    public void OnExtent(Extent extent, int recordSize)
    {
        _extents++;
        var finding = ExtentVerifier.Verify(extent, recordSize, Head, options.Mode);
        if (finding is not null)
        {
            _findings.Add(finding);
            _damaged.Add(extent.Index);
        }

        // An extent that lost everything reads as zero, which is what no extent does.
        if (extent.Presence == 0 || extent.Index > ExtentVerifier.MaxIndex) extent.Dispose();
        else if (keepsImage) _image.Adopt(extent);
        else KeepIfAhead(extent);
        Report();
    }

    public void OnLog(long marker, byte[] record, bool mayBeTorn)
    {
        _log.Add(new(marker, record, mayBeTorn));
        Report();
    }

    /// <summary>Applies the log and sums up. The image belongs to the result.</summary>
    /// <exception cref="CorruptStoreException">Something is damaged, and the action is to fail.</exception>
    public RecoveredStore Finish()
    {
        _image.Position = Head.Checkpoint;
        _image.FileSize = Head.FileSize;
        _image.AddAbsent(_list.Where(index => index <= ExtentVerifier.MaxIndex), Head.FileSize); // before the log: it says what of them is newer
        var recent = new List<CommitId>(Head.RecentCommits);
        var results = new Dictionary<CommitId, StatementResult>(Head.RecentResults);
        var (records, bytes, rolledBack) = ApplyLog(recent, results);
        foreach (var extent in keepsImage ? _image.Extents : _ahead)
        {
            if (ExtentVerifier.VerifyVersions(extent, _image.Position) is not { } finding) continue;
            _findings.Add(finding);
            _damaged.Add(extent.Index);
        }

        var report = new RecoveryReport(options.Mode, _image.Position, _extents, records, rolledBack, _findings);
        if (report.IsCorrupt && options.Action == CorruptionAction.Fail) throw new CorruptStoreException(report);
        return new RecoveredStore
        {
            Head = Head,
            Image = _image,
            RecentCommits = recent,
            RecentResults = results,
            RecentWriters = [.. Head.RecentWriters, .. _writers],
            Report = report,
            DropFrom = rolledBack > 0 ? _image.Position.Marker + 1 : null,
            LogRecords = records,
            LogBytes = bytes,
            DirtyExtents = _dirty,
            DamagedExtents = _damaged,
        };
    }

    public void Dispose()
    {
        _image.Dispose();
        _ahead.ForEach(extent => extent.Dispose());
    }

    private Head Head => _head ?? throw new InvalidOperationException("The store handed over no head.");

    private (int Records, long Bytes, int RolledBack) ApplyLog(List<CommitId> recent, Dictionary<CommitId, StatementResult> results)
    {
        var verifier = new LogVerifier(Head, Head.Checkpoint, options.Mode != RecoveryMode.Skip);
        var (records, bytes) = (0, 0L);

        // Natively a crash can leave records that the checkpoint has passed: they are in the extents already.
        var log = _log.FindAll(stored => stored.Marker > Head.Checkpoint.Marker);
        for (var i = 0; i < log.Count; i++)
        {
            if (verifier.Accept(log[i], out var finding) is not { } commit)
            {
                _findings.Add(HidesOwnCommits(log, i, finding!) ? finding! with { Kind = RecoveryFindingKind.CorruptLog } : finding!);
                return (records, bytes, log.Count - i);
            }

            if (keepsImage) _image.Apply(commit);
            else _image.Position = commit.Position;
            foreach (var id in commit.BlockIds) _dirty.Add((int)(id / Extent.BlockCount));
            foreach (var id in commit.FreedIds) _dirty.Add((int)(id / Extent.BlockCount));
            recent.Add(commit.Id);
            if (commit.Result is { } result) results[commit.Id] = result;
            _writers.Add(new(commit.Writer, commit.Position));
            records++;
            bytes += log[i].Bytes.Length;
        }

        return (records, bytes, 0);
    }

    /// <summary>Only what a crash left between a checkpoint's extents and its head can turn out to be ahead of the log: few.</summary>
    private void KeepIfAhead(Extent extent)
    {
        for (var block = 0; block < Extent.BlockCount; block++)
        {
            if (extent[block].Version <= Head.Checkpoint.Marker) continue;
            _ahead.Add(extent);
            return;
        }

        extent.Dispose();
    }

    /// <summary>Left-overs of another store are harmless at the end of the log only.</summary>
    private bool HidesOwnCommits(List<StoredLog> log, int at, RecoveryFinding finding) =>
        finding.Kind == RecoveryFindingKind.ForeignLog
        && log.Skip(at).Any(stored => CommitRecord.Parse(stored.Bytes, verifyBlocks: false, out _)?.Incarnation == Head.Incarnation);

    private void Report() => options.Progress?.Report(new(_extents + _log.Count, Math.Max(_total, _extents + _log.Count)));
}
