using DataSync.Storage;

namespace DataSync.Simulation;

// Reading, and what is not in memory: it is loaded, and the work run again, as the database does.
internal sealed partial class SimTab
{
    private readonly Residency _residency;

    /// <summary>Whether some of the database may not be in memory.</summary>
    public bool IsOnDemand => _residency.MaxBytes is not null;

    public Task ReadAsync(double ms, ulong seed) => TellAsync("read", () => RunLoadedAsync(() =>
    {
        var storage = Pipeline.Storage;
        if (storage.InBatch || IsGone || !_reader!.TryRead()) return Task.CompletedTask;
        _readers++;
        try
        {
            _world.CheckImage(this, "at the start of a read");
            CheckPages(_reader, _world.ImageAt(storage.Top), "at the start of a read", Needs(seed));
        }
        catch (NotResidentException)
        {
            _world.Coverage.Hit("read needs what is missing");
            EndRead();
            throw;
        }

        return HoldReadAsync(ms);
    }));

    /// <summary>The application looks ahead.</summary>
    public Task LoadAsync(int[] indices) => TellAsync("load", () => Pipeline.Extents.LoadAsync(indices, default));

    /// <summary>As an export does, or who watches row by row.</summary>
    public Task LoadAllAsync(double ms) => TellAsync("load of everything", async () =>
    {
        await Pipeline.Extents.PinAllAsync(default);
        CheckWhole();
        await HoldAsync(ms);
        CheckWhole();
        Pipeline.Extents.UnpinAll();
    });

    private void CheckWhole()
    {
        if (IsGone || Fault is not null) return;
        if (!Pipeline.Storage.InBatch) _world.CheckImage(this, "with everything loaded");
        if (Pipeline.Storage.FindIncomplete() is { Length: > 0 } missing)
            _world.Fail("residency", $"{Name}: everything was loaded and is kept, and of the extents {string.Join(", ", missing)} something is missing.");
    }

    private async Task HoldReadAsync(double ms)
    {
        var storage = Pipeline.Storage;
        var (top, image) = (storage.Top, _world.ImageAt(storage.Top));
        await HoldAsync(ms);
        if (storage.Top != top) _world.Fail("S5", $"{Name}: the image moved from {_world.Describe(top)} to {_world.Describe(storage.Top)} under a reader");
        else if (image.Compare(storage) is { } difference) _world.Fail("S5", $"{Name}: the image changed under a reader: {difference}");
        EndRead();
    }

    private void EndRead()
    {
        _readers--;
        _reader!.EndRead();
        if (_readers > 0) return;
        var waiting = _waitForReaders.ToList();
        _waitForReaders.Clear();
        foreach (var one in waiting) one.TrySetResult();
    }

    private LoadRounds NewLoading() => new(Pipeline.Extents, Pipeline.Storage);

    /// <summary>Runs work until it finds all that it needs.</summary>
    private async Task RunLoadedAsync(Func<Task> work)
    {
        using var loading = NewLoading();
        while (true)
        {
            try
            {
                await work();
                return;
            }
            catch (NotResidentException) when (loading.HasMissed)
            {
                await loading.LoadAsync(default);
            }
        }
    }

    /// <summary>What a transaction needs is missing: SQLite rolls it back.</summary>
    private void OrRollBack(Action work)
    {
        try
        {
            work();
        }
        catch (NotResidentException)
        {
            _world.Coverage.Hit("transaction needs what is missing");
            _writer!.Rollback();
            _sealing = null;
            throw;
        }
    }

    /// <summary>The blocks that a statement reads; null where all are in memory.</summary>
    private int[]? Needs(ulong seed)
    {
        if (!IsOnDemand) return null;
        var dice = new Dice(seed);
        var ids = _world.ImageAt(Position.Start).BlockIds;
        return [.. Enumerable.Range(0, dice.From(0, 4)).Select(_ => ids[dice.Below(ids.Length)])];
    }

    private async Task TellAsync(string what, Func<Task> load)
    {
        try
        {
            await load();
            _world.Coverage.Hit(what);
        }
        catch (Exception error) when (error is StorageException or ObjectDisposedException or OperationCanceledException)
        {
            if (error is NotResidentException or CorruptStoreException) _world.Fail("residency", $"{Name}, {what}: {error}");
            Trace($"{what} failed: {error.Message}");
            _world.Coverage.Hit($"{what} failed {error.GetType().Name}");
        }
    }
}
