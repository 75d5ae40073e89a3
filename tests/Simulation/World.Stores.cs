using DataSync.Contracts;
using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Simulation;

// What happens to the store beside the tabs: deleted, evicted, replaced, and written by somebody who should not.
internal sealed partial class World
{
    private void DeleteStore(bool isEvicted)
    {
        if (Medium.GetRecord(StoreRecordKind.Head, 0) is null) return;
        Announce(isEvicted ? "fault store evicted" : "fault store deleted");
        if (_life is not null) _life.IsOver = true;
        _life = null;
        if (isEvicted)
        {
            // Evicted without a word: the connections are lost, and an empty store is found afterwards.
            Empty();
            Medium.Disconnect();
            return;
        }

        var eraser = new MemoryBlockStore(Medium);
        _ = eraser.OpenAsync(default).AsTask();
        _ = eraser.DeleteAsync(default).AsTask();
        _ = eraser.DisposeAsync().AsTask();
    }

    /// <summary>
    /// Behind everybody's back: the store is exported, deleted, and made anew from the copy. The same history under another
    /// incarnation; the connections stay open, so that nothing but the incarnation tells.
    /// </summary>
    private void ReplaceStore()
    {
        if (_life is null || Medium.HeadRecord is null || Violation is not null) return;
        Announce("fault store replaced by a copy of itself");
        using var recovered = LoadStore();
        var incarnation = Ids.NextGuid();
        var head = recovered.Value.Head with
        {
            Incarnation = incarnation,
            Checkpoint = recovered.Value.Image.Position,
            FileSize = recovered.Value.Image.FileSize,
            RecentCommits = [.. recovered.Value.RecentCommits.TakeLast(Head.RecentCommitCount)],
            RecentWriters = WriterCommit.Latest(recovered.Value.RecentWriters),
        };
        Empty();
        foreach (var extent in recovered.Value.Image.Extents)
        {
            extent.SealRecord(incarnation, head.Checksum);
            if (extent.RecordSize > 0) Medium.SetRecord(StoreRecordKind.Extent, extent.Index, extent.RecordBytes[..extent.RecordSize].ToArray());
        }

        foreach (var kind in new[] { StoreRecordKind.HeadCopy, StoreRecordKind.Head }) Medium.SetRecord(kind, 0, HeadCodec.Encode(head));
        _life.IsOver = true;
        _life = new StoreLife(incarnation, _life);
        _lives.Add(incarnation, _life);
    }

    private void Empty()
    {
        while (Medium.Log.Count > 0) Medium.SetRecord(StoreRecordKind.Log, Medium.Log.First().Key, null);
        while (Medium.Extents.Count > 0) Medium.SetRecord(StoreRecordKind.Extent, Medium.Extents.First().Key, null);
        Medium.SetRecord(StoreRecordKind.Head, 0, null);
        Medium.SetRecord(StoreRecordKind.HeadCopy, 0, null);
    }

    /// <summary>
    /// A writer with the right fence and the wrong idea of where the log ends: no tab can be one while its other guards
    /// stand, so that only this shows what the store's own look at the markers is worth.
    /// </summary>
    private void StrayAppend(Dice dice)
    {
        if (_life is null || Medium.HeadRecord is null || Violation is not null) return;
        var head = HeadCodec.Decode(Medium.HeadRecord);
        var (end, checkpoint) = (_life.End.Marker, head.Checkpoint.Marker);
        var marker = dice.Below(3) switch { 0 => end + dice.From(2, 4), 1 => end, _ => checkpoint };
        if (marker == 0) return;
        Announce(marker > end ? "fault stray append behind a gap" : marker > checkpoint ? "fault stray append at a taken marker" : "fault stray append below the checkpoint");
        var id = new CommitId(Ids.NextGuid());
        var fence = new Fence(head.Incarnation, head.Epoch);
        var stray = CommitRecord.Seal(id, new(marker - 1, new(Ids.NextGuid())), TabId.New(Clock), 0, head.FileSize, head.Checksum, [], [], _ => 0).Stamp(fence);
        var store = new MemoryBlockStore(Medium);
        var isTaken = true;
        try
        {
            store.OpenAsync(default).AsTask().GetAwaiter().GetResult();
            store.AppendAsync(fence, [stray], default).AsTask().GetAwaiter().GetResult();
        }
        catch (MarkerConflictException)
        {
            isTaken = false;
        }

        _ = store.DisposeAsync().AsTask();
        Observe(null, new StoreCall(StoreOperation.Append, 0));
        if (isTaken) Fail("S3", $"The store took a stray commit at marker {marker}; the log goes from {checkpoint} to {end}.");
    }

    private Loaded LoadStore()
    {
        var store = new MemoryBlockStore(Medium);
        var head = store.OpenAsync(default).AsTask().GetAwaiter().GetResult();
        var recovered = Recovery.LoadAsync(store, head, new RecoveryOptions(Action: CorruptionAction.Report), default).AsTask().GetAwaiter().GetResult();
        _ = store.DisposeAsync().AsTask();
        return new Loaded(recovered);
    }

    private sealed record Loaded(RecoveredStore Value) : IDisposable
    {
        public void Dispose() => Value.Image.Dispose();
    }
}
