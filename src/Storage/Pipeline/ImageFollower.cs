using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// Keeps this tab's image at the durable history: what is durable comes in, in the order of the markers; what failed is put back.
/// Both wait until nobody reads or writes. <see cref="Advance"/> goes as far as it can, and is called whenever it might get further.
/// </summary>
/// <remarks>
/// Invariants: no other tab's commit is in the image before it is durable, but for the holder of the write turn; the ledger is never
/// behind the image; the image's marker never goes back. Guarded by the gate.
/// </remarks>
#pragma warning disable CA1001 // The image is not freed with the pipeline: a connection may still read it. Its extents free themselves.
internal sealed class ImageFollower(PipelineCore core)
#pragma warning restore CA1001
{
    private readonly Queue<CommitRecord> _toApply = new();
    private readonly Waiters _shown = new(core);
    private BlockStorage? _storage;
    private CommitLedger? _ledger;
    private CommitId? _undoFrom;
    private RecoveredStore? _reload;
    private long _lastForeign = long.MinValue / 2;

    /// <summary>Whether this tab has the write turn, and so may see what is accepted and not durable.</summary>
    public required Func<bool> MaySeeAccepted { private get; init; }

    /// <summary>A commit does not follow what this tab knows: the log has to be read.</summary>
    public required Action GapFound { private get; init; }

    /// <summary>The image shows a durable commit, of any tab.</summary>
    public required Action<CommittedEventArgs> Shown { private get; init; }

    /// <summary>The same, as the commit itself.</summary>
    public required Action<CommitRecord> CommitShown { private get; init; }

    /// <summary>A commit that the image held is durable.</summary>
    public required Action<CommitRecord> Confirmed { private get; init; }

    /// <summary>Another commit took the marker that the oldest one on its way hoped for: none of them can ever become durable.</summary>
    public required Action Superseded { private get; init; }

    /// <summary>The whole store was read anew, and the history ends at this marker. The image follows later.</summary>
    public required Action<long> Reloaded { private get; init; }

    /// <summary>A new image is about to be installed. Told: this tab's last durable commit, and its commits that still fit on top.</summary>
    public required Action<Position?, IReadOnlyList<CommitRecord>> Reinstalling { private get; init; }

    /// <summary>The image holds nothing of what failed any more.</summary>
    public required Action Undone { private get; init; }

    /// <summary>The image is as far as it can be.</summary>
    public required Action Advanced { private get; init; }

    public bool IsOpen => _storage is not null;

    /// <summary>How many commits of this tab were the last ones, as far as this tab has seen others' since it began.</summary>
    public long OwnInARow => Ledger.End.Marker - _lastForeign;

    public BlockStorage Storage => _storage ?? throw new InvalidOperationException("The pipeline is not open.");

    public CommitLedger Ledger => _ledger ?? throw new InvalidOperationException("The pipeline is not open.");

    /// <summary>The last durable commit that the image shows.</summary>
    public Position Position => _storage?.Durable ?? Position.Start;

    /// <summary>Whether the image still has to be put back or brought forward, and waits for those who read it.</summary>
    public bool IsBehind => _undoFrom is not null || _reload is not null || _toApply.Count > 0 || (!MaySeeAccepted() && Storage.FindForeignTail() is not null);

    /// <summary>The first commit to be taken out of the image; null when nothing has failed.</summary>
    public CommitId? UndoingFrom => _undoFrom;

    /// <summary>Whether what the image holds is about to be put back or replaced, so that nothing may be built on it.</summary>
    public bool IsBeingPutBack => _undoFrom is not null || _reload is not null;

    /// <summary>Whether an image that is not whole is about to replace this one.</summary>
    public bool IsReloadPartial => _reload?.Image.Incomplete.Any() == true;

    /// <summary>Whether every durable commit has been brought in or is at least known to be in the image.</summary>
    public bool HasApplied => _toApply.Count == 0;

    /// <summary>Whether the image's durable part is the whole history, as a checkpoint needs it.</summary>
    public bool IsAtEnd => HasApplied && _reload is null && Storage.Durable == Ledger.End;

    public void Open(RecoveredStore recovered, IBatchOwner owner)
    {
        _ledger = new CommitLedger(recovered);
        _storage = new BlockStorage(
            owner, recovered.Image, recovered.Head.Checksum, core.Self, core.Time, core.Sources.NewCommitId, core.Options.MaxCommitBytes)
        {
            Format = recovered.Head.Format,
        };
    }

    /// <summary>The store's head was read, or written by this tab: from here on commits may say all that its format has room for.</summary>
    public void OnHead(Head head)
    {
        if (_storage is not null) _storage.Format = Math.Max(_storage.Format, head.Format);
    }

    /// <summary>The next durable commit; anything else than the next one makes this tab read the log.</summary>
    public void OnDurable(CommitRecord commit)
    {
        if (_ledger is null || commit.Marker <= _ledger.End.Marker) return;
        if (commit.Base != _ledger.End)
        {
            GapFound();
            return;
        }

        _ledger.Add(commit);
        if (commit.Writer != core.Self) _lastForeign = commit.Marker;
        _toApply.Enqueue(commit);
        Advance();
    }

    /// <summary>The store was read anew, because the log no longer reaches back to this tab's history.</summary>
    public void Reload(RecoveredStore recovered)
    {
        if (recovered.Image.Position.Marker < Ledger.End.Marker)
        {
            recovered.Image.Dispose();
            return;
        }

        Reloaded(recovered.Image.Position.Marker);
        _reload?.Image.Dispose();
        _reload = recovered;
        _ledger = new CommitLedger(recovered);
        _lastForeign = _ledger.End.Marker;
        _toApply.Clear();
        Advance();
    }

    /// <summary>Takes a commit, and all that were built on it, out of the image, as soon as nobody reads.</summary>
    public void Undo(CommitId first)
    {
        _undoFrom = first;
        Advance();
    }

    /// <summary>Brings the image as far as it can now: put back what failed, then confirm or apply in the order of the markers.</summary>
    public void Advance()
    {
        if (_storage is null || core.IsClosed) return;
        while (true)
        {
            if (_reload is not null || _undoFrom is not null)
            {
                lock (_storage.Sync)
                {
                    if (!_storage.IsIdle) return;
                    if (_undoFrom is { } first) PutBack(first);
                    else InstallReload();
                }
            }
            else if (_toApply.TryPeek(out var commit))
            {
                if (!TryShow(commit)) return;
            }
            else
            {
                break;
            }
        }

        DropAcceptedTail();
        Advanced();
        if (!IsBehind) _shown.Release();
    }

    /// <summary>What was accepted but is not durable may be seen by the holder of the turn only, and by nobody when it is given up.</summary>
    public void DropAcceptedTail()
    {
        if (_storage is null || MaySeeAccepted()) return;
        lock (_storage.Sync)
        {
            if (_storage.IsIdle && _storage.FindForeignTail() is { } first) _storage.UndoFrom(first);
        }
    }

    /// <summary>Brings the image to where a granted turn starts, with what was accepted and is not durable yet.</summary>
    public Alignment TryAlign(TurnGrant grant)
    {
        Advance();
        if (Ledger.End.Marker < grant.Durable || IsBehind) return Alignment.MustWait;
        foreach (var commit in grant.Accepted)
        {
            if (commit.Marker <= Storage.Durable.Marker || Storage.IsInChain(commit.Id)) continue;
            if (commit.Writer == core.Self && commit.Result is null) return Alignment.Impossible; // it failed since the turn was granted
            lock (Storage.Sync)
            {
                if (!Storage.IsIdle) return Alignment.MustWait;
                if (commit.Base != Storage.Top) return Alignment.Impossible;
                Storage.ApplyAccepted(commit);
            }
        }

        return grant.Base == Storage.Top ? Alignment.Aligned : Alignment.Impossible;
    }

    /// <summary>Waits until the image shows all that this tab knows to be durable.</summary>
    public async Task WaitUntilShownAsync(CancellationToken cancellationToken)
    {
        var shown = core.Gate.Run(() =>
        {
            core.ThrowIfUnusable();
            Advance();
            return IsBehind || !Storage.IsIdle ? _shown.Add() : null;
        });
        if (shown is not null) await shown.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Extents that a checkpoint would write and that are not wholly in memory.</summary>
    public int[] FindIncomplete() => Storage.FindIncomplete(Ledger.DirtyExtents);

    /// <summary>What a leader folds into the extents now; null when the image is not where the log ends.</summary>
    public Checkpoint? MakeCheckpoint(Fence fence)
    {
        if (!IsAtEnd) return null;
        var extents = Ledger.DirtyExtents.Select(index => Storage.SnapshotDurable(index, fence.Incarnation)).OfType<Extent>().ToList();
        return new Checkpoint(Ledger.NextHead(fence, core.Self, Storage.DurableFileSize), extents);
    }

    public void EndOverdue()
    {
        if (!_shown.AreOverdue) return;
        _shown.Fail(new StorageException(
            "Other tabs' changes cannot be shown here, because a reader or transaction of this tab stays open. Dispose it, then try again."));
    }

    public void Stop(StorageException error) => _shown.Fail(error);

    private void PutBack(CommitId first)
    {
        _storage!.UndoFrom(first);
        _undoFrom = null;
        Undone();
    }

    private bool TryShow(CommitRecord commit)
    {
        if (_storage!.TryConfirm(commit.Position))
        {
            _toApply.Dequeue();
            Show(commit);
            Confirmed(commit);
            return true;
        }

        if (_storage.ChainLength > 0)
        {
            Superseded();
            _undoFrom = _storage.ChainFront;
            return true;
        }

        lock (_storage.Sync)
        {
            if (!_storage.IsIdle) return false;
            _storage.ApplyDurable(commit);
        }

        _toApply.Dequeue();
        Show(commit);
        return true;
    }

    private void InstallReload()
    {
        var reload = _reload!;
        _reload = null;

        // Commits built on where the store now stands may still be taken: they go on top of the new image.
        var kept = _storage!.ChainOn(reload.Image.Position);
        Reinstalling(Ledger.LastOf(core.Self), kept);
        _storage.UndoAll();
        _storage.Replace(reload.Image);
        foreach (var commit in kept) _storage.ApplyAccepted(commit);
        core.Metrics.OnReload();
        Undone();
        Shown(new CommittedEventArgs(Position, default, isLocal: false, 0, 0, TouchedTables.Unknown));
    }

    private void Show(CommitRecord commit)
    {
        core.Metrics.OnCommitted(commit);
        CommitShown(commit);
        Shown(new CommittedEventArgs(commit.Position, commit.Writer, commit.Writer == core.Self, commit.BlockCount, commit.Bytes.Length, commit.Tables));
    }
}

/// <summary>Whether an image is where a granted turn starts.</summary>
internal enum Alignment
{
    Aligned,

    /// <summary>It can be, once what is durable was read or those who read have ended.</summary>
    MustWait,

    /// <summary>A message was missed or the leader changed: the turn is of no use.</summary>
    Impossible,
}
