using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.PostgreSql;

/// <summary>
/// How far this store object knows that the history went. Epochs never fall, and what was acknowledged is not taken back: a server that knows less was restored
/// from a back-up, or is a standby that had not received everything. Under an image that is ahead it is another store.
/// </summary>
/// <param name="Incarnation">Of the store that was seen; empty before.</param>
/// <param name="Epoch">The highest epoch.</param>
/// <param name="AppendedEpoch">The epoch of the last append of this object.</param>
/// <param name="Appended">The last marker that it made durable; 0 for none.</param>
internal readonly record struct SeenHistory(Guid Incarnation, Epoch Epoch, Epoch AppendedEpoch, long Appended)
{
    /// <exception cref="StoreReplacedException">The history has gone back.</exception>
    public void Check(Head head, long end)
    {
        if (head.Incarnation != Incarnation) return; // another store altogether, which others notice
        if (head.Epoch < Epoch || (head.Epoch == AppendedEpoch && end < Appended))
            throw new StoreReplacedException(
                "The PostgreSQL server holds an older state of the database than this process has seen: it was restored from a back-up, or a standby took over that had not "
                + "received everything. Nothing more is written. This process still holds the newer state: it can be read and exported. Open the database again to go on with the older one.");
    }

    public SeenHistory With(Head head) =>
        head.Incarnation == Incarnation ? this with { Epoch = Epoch.Max(Epoch, head.Epoch) } : new(head.Incarnation, head.Epoch, default, 0);

    public SeenHistory WithAppended(Fence fence, long marker) => this with { AppendedEpoch = fence.Epoch, Appended = marker };
}
