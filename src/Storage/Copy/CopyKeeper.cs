using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// Writes the copy of the store, where this tab is the one that does: behind what the copy holds goes what this tab shows, a moment later and together; now and then the log is folded into extents of
/// this tab's image. Where the two do not join the image as a whole takes the copy's place.
/// </summary>
/// <remarks>Guarded by the gate; the copy is read and written outside of it, by one loop.</remarks>
internal sealed class CopyKeeper(PipelineCore core, StoreLink link, ImageFollower image, IStoreCopy? copy) : IAsyncDisposable
{
    /// <summary>Of commits that wait to be written; who cannot keep up reads them again, or writes the image.</summary>
    private const long MaxWaiting = 16 << 20;

    /// <summary>A log of this size is read in a few hundredths of a second.</summary>
    private const long FoldBytes = 2 << 20;

    private const int FoldRecords = 500;

    /// <summary>So that commits which follow each other quickly go together; a crash within it only makes the next opening read a little more.</summary>
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    /// <summary>After a failure, and as much longer with each further one.</summary>
    private static readonly TimeSpan FailurePause = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(5);

    /// <summary>What keeps a page that closes from doing so is worth no more than this.</summary>
    private static readonly TimeSpan EndTimeout = TimeSpan.FromSeconds(1);

    private readonly List<CommitRecord> _waiting = [];
    private readonly TaskCompletionSource _ending = core.Gate.NewCompletion(); // no token: its cancellation hops to the thread pool, which in the browser is a timer
    private CopyTail? _tail;
    private Task _running = Task.CompletedTask;
    private Epoch _epoch;
    private long _waitingBytes, _failedAt;
    private int _failures;
    private bool _isRunning, _isOver = copy is null;

    /// <summary>The image is in place.</summary>
    /// <param name="recovered">What it was made of.</param>
    public void Begin(RecoveredStore recovered)
    {
        OnHead(recovered.Head);
        if (copy is not null) core.Gate.Defer(copy.OnInstalled);
        Kick();
    }

    public void OnHead(Head head) => OnEpoch(head.Epoch);

    /// <summary>The image shows a durable commit.</summary>
    public void OnShown(CommitRecord commit)
    {
        if (_isOver) return;
        var hasGap = !copy!.IsKeptHere || (_waiting.Count > 0 && commit.Base != _waiting[^1].Position);
        if (hasGap && !Sabotage.IsMissing(Guard.CopyGap)) DropWaiting();
        if (!copy.IsKeptHere) return;
        _waiting.Add(commit);
        if ((_waitingBytes += commit.Bytes.Length) > MaxWaiting) DropWaiting();
        Kick();
    }

    /// <summary>Writes what there is to write, if this tab is to. Called whenever there may be something, and at each heartbeat.</summary>
    public void Kick()
    {
        if (_isOver || _isRunning || core.IsStopped || !image.IsOpen || !copy!.IsKeptHere || !IsBehind || IsPausing) return;
        _isRunning = true;
        core.Gate.Defer(() => _running = RunAsync());
    }

    /// <summary>Writes what still waits, and no more. It takes a moment at most, and does not fail.</summary>
    public async ValueTask DisposeAsync()
    {
        if (copy is null) return;
        var running = core.Gate.Run(() =>
        {
            _isOver = true;
            return _running;
        });
        _ending.TrySetResult();
        await running.WaitAsync(EndTimeout, core.Time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private void OnEpoch(Epoch epoch) => _epoch = Epoch.Max(_epoch, epoch);

    private bool IsBehind => _tail is null || _tail.Head.Incarnation != link.Incarnation || _tail.End.Marker < image.Position.Marker || _waiting.Count > 0;

    private bool IsPausing => _failures > 0 && core.Since(_failedAt) < TimeSpan.FromTicks(Math.Min(FailurePause.Ticks << Math.Min(_failures - 1, 10), LongestPause.Ticks));

    private async Task RunAsync()
    {
        var goesOn = true;
        while (goesOn)
        {
            await Task.WhenAny(Task.Delay(Pause, core.Time), _ending.Task).ConfigureAwait(false);
            var hasWritten = false;
            var error = await StoreLink.TryAsync(async () => hasWritten = await WriteAsync().ConfigureAwait(false)).ConfigureAwait(false);
            goesOn = core.Gate.Run(() =>
            {
                OnWritten(error);
                return _isRunning = hasWritten && !_isOver && !core.IsStopped && copy!.IsKeptHere && IsBehind;
            });
        }
    }

    private void OnWritten(StorageException? error)
    {
        if (error is null)
        {
            _failures = 0;
            return;
        }

        _tail = null; // it is read again
        if (error is MarkerConflictException) return; // another tab has written it
        (_failedAt, _failures) = (core.Now, _failures + 1);
        Log.CopyFailed(core.Logger, core.Scope, error.Message);
    }

    private async Task<bool> WriteAsync()
    {
        if (await copy!.OpenToWriteAsync(core.Closing).ConfigureAwait(false) is not { } store)
        {
            core.Gate.Run(() => _isOver = true);
            return false;
        }

        var present = core.Gate.Run(() => _tail?.State) ?? await ReadTailAsync(store).ConfigureAwait(false);
        if (core.Gate.Run(IsGap)) await ReadGapAsync().ConfigureAwait(false);
        if (core.Gate.Run(() => Plan(present)) is not { } adoption) return false;
        try
        {
            await store.AdoptAsync(adoption, CancellationToken.None).ConfigureAwait(false);
            core.Gate.Run(() => OnAdopted(adoption));
            return true;
        }
        finally
        {
            foreach (var extent in adoption.Extents) extent.Dispose();
        }
    }

    private async Task<CopyState> ReadTailAsync(ICopyStore store)
    {
        try
        {
            var (tail, present) = await CopyTail.ReadAsync(store, core.Closing).ConfigureAwait(false);
            core.Gate.Run(() => _tail = tail);
            return present;
        }
        catch (CorruptStoreException)
        {
            await copy!.ForgetAsync(core.Closing).ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Whether commits between what the copy holds and what waits are not at hand.</summary>
    private bool IsGap()
    {
        if (_tail is not { } tail || tail.Head.Incarnation != link.Incarnation) return false;
        DropWaiting(upTo: tail.End.Marker);
        return _waiting.Count > 0 ? _waiting[0].Base != tail.End : tail.End.Marker < image.Position.Marker;
    }

    // They may still be in the store's log.
    private async Task ReadGapAsync()
    {
        var from = core.Gate.Run(() => _tail!.End);
        LogTail log;
        try
        {
            log = await link.ReadLogAsync(from, core.Closing).ConfigureAwait(false);
        }
        catch (StorageException)
        {
            return; // the store is away
        }

        core.Gate.Run(() =>
        {
            OnHead(log.Head);
            if (log.NeedsReload)
            {
                _tail = null;
                return;
            }

            var last = log.Commits.Count > 0 ? log.Commits[^1].Position : from;
            DropWaiting(upTo: last.Marker);
            if (_waiting.Count > 0 && _waiting[0].Base != last) DropWaiting();
            _waiting.InsertRange(0, log.Commits);
            _waitingBytes += log.Commits.Sum(commit => (long)commit.Bytes.Length);
        });
    }

    private Adoption? Plan(CopyState present)
    {
        if (core.Fault is not null) return null; // what this tab holds may not be the store's any more
        if (_tail is not { } tail || tail.Head.Incarnation != link.Incarnation) return Fold(present, Enumerable.Range(0, image.Storage.ExtentCount), replacesAll: true);
        if (_waiting.Count == 0 || _waiting[0].Base != tail.End) return null;
        if (tail.Records + _waiting.Count >= FoldRecords || tail.Bytes + _waitingBytes >= FoldBytes)
        {
            var touched = new HashSet<int>(tail.Dirty);
            foreach (var commit in _waiting) CopyTail.AddTouched(commit, touched);
            if (Fold(present, touched, replacesAll: false) is { } folded) return folded;
        }

        var commits = Stamped(tail.LastEpoch);
        return new(present, tail.HeadFor(commits), commits, []);
    }

    private Adoption? Fold(CopyState present, IEnumerable<int> indices, bool replacesAll)
    {
        int[] extents = [.. indices];
        if (!image.IsAtEnd || image.Storage.FindIncomplete(extents).Length > 0) return null;
        if (!replacesAll && _waiting[^1].Position != image.Ledger.End) return null;
        var fence = new Fence(link.Incarnation, _epoch);
        var head = image.Ledger.NextHead(fence, image.Ledger.Head.Holder ?? core.Self, image.Storage.DurableFileSize);
        var snapshots = extents.Select(index => image.Storage.SnapshotDurable(index, fence.Incarnation) ?? (replacesAll ? null : Empty(index, head))).OfType<Extent>().ToList();
        return new(present, head, [], snapshots, replacesAll);
    }

    private static Extent Empty(int index, Head head)
    {
        var extent = new Extent(index);
        extent.SealRecord(head.Incarnation, head.Checksum);
        return extent;
    }

    private void OnAdopted(Adoption adoption)
    {
        if (adoption.Commits.Count > 0) _tail!.OnAppended(adoption.Head, adoption.Commits);
        else _tail = new(adoption.Head, adoption.Head.Checkpoint, 0, 0, []);
        DropWaiting(upTo: _tail.End.Marker);
    }

    // What this tab has written itself does not carry the epoch under which it was taken. That of the commit before it is none too great, and so keeps the order.
    private List<CommitRecord> Stamped(Epoch epoch)
    {
        var stamped = new List<CommitRecord>(_waiting.Count);
        foreach (var commit in _waiting)
        {
            if (commit.Epoch != default) epoch = commit.Epoch;
            stamped.Add(commit.Epoch != default ? commit : CommitRecord.Parse([.. commit.Bytes.Span], verifyBlocks: false, out _)!.Stamp(new(link.Incarnation, epoch)));
        }

        OnEpoch(epoch);
        return stamped;
    }

    private void DropWaiting(long upTo = long.MaxValue)
    {
        var kept = _waiting.FindIndex(commit => commit.Marker > upTo);
        Drop(kept < 0 ? _waiting.Count : kept);
    }

    private void Drop(int count)
    {
        for (var i = 0; i < count; i++) _waitingBytes -= _waiting[i].Bytes.Length;
        _waiting.RemoveRange(0, count);
    }
}
