using DataSync.Storage;

namespace DataSync.Vfs;

// A store that was lost while tabs had it open: what one of them holds goes into the store that took its place.
public sealed partial class DataSyncDatabase
{
    /// <summary>Whether its store was lost, and nobody here heard that it was to be deleted.</summary>
    internal bool IsLost => !_closed && _pipeline.Fault is StoreReplacedException;

    /// <summary>Fills this database with what another one holds, unless it holds that or something newer already.</summary>
    internal async Task RestoreFromAsync(DataSyncDatabase lost, CancellationToken cancellationToken)
    {
        await lost._interactive.WaitAsync(cancellationToken).ConfigureAwait(false);
        var image = lost._pipeline.Storage;
        if (image.InBatch)
            throw new InvalidOperationException("A transaction of the lost database is still open, so what it holds is no whole state. End it, then try again.");
        if (image.Size == 0) return;
        if (image.Size > _options.Pipeline.MaxCommitBytes)
        {
            throw new CommitTooLargeException(FormattableString.Invariant(
                $"Nothing was restored: the database has {image.Size} bytes, and {_options.Pipeline.MaxCommitBytes} is what fits into one commit. Export it."));
        }

        if (image.FindIncomplete().Length > 0)
            throw new NotResidentException("Nothing was restored: this tab kept the database in memory in part only (Residency.OnDemand), and the rest was lost with its store.");
        var (incarnation, marker) = (lost._pipeline.Incarnation, image.Top.Marker);
        var file = ImportedFile.Of(lost.CopyImage());
        var isRestored = false;
        await ReplaceAsync(
            () =>
            {
                var top = _pipeline.Storage.Top;
                var present = RestoredCommit.MarkerOf(top.Commit, incarnation);
                isRestored = !(present >= marker);
                if (!isRestored) return;
                if (top != Position.Start && present is null)
                    throw new StoreReplacedException("Nothing was restored: the new store has been written to already. What this tab holds of the old one can still be read and exported here.");
                Replace(file, RestoredCommit.NewId(incarnation, marker));
            },
            cancellationToken).ConfigureAwait(false);
        if (isRestored) Log.Restored(_logger, Name, marker);
    }
}
