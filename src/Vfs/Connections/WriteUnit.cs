using DataSync.Storage;

namespace DataSync.Vfs;

/// <summary>Leave to write that a connection holds over several commands: for a transaction, or for several in a row.</summary>
internal sealed class WriteUnit(AutoSyncManager.Admission admission, WriteSlot slot, TaskCompletionSource running)
{
    private bool _isEnded;

    /// <summary>It was asked for by name, so ending a transaction does not end it.</summary>
    public bool IsHeldByCaller
    {
        get => slot.IsWhole;
        set => slot.IsWhole = value;
    }

    /// <summary>Its holder is at work: the write turn stays with it.</summary>
    public void Touch() => slot.Touch();

    /// <summary>Takes back what was committed under it and is not sent yet.</summary>
    public void Abandon() => slot.Abandon();

    /// <summary>Sends what was committed under it, and lets others write. May be called again.</summary>
    public void End()
    {
        if (_isEnded) return;
        _isEnded = true;
        slot.Dispose();
        running.TrySetResult();
        admission.Dispose();
    }

    /// <summary>As <see cref="End"/>; returns when it is durable and shown here.</summary>
    /// <exception cref="StaleCommitException">Another tab committed first. Nothing was kept.</exception>
    /// <exception cref="StorageException">It could not be made durable.</exception>
    public async Task EndAsync()
    {
        if (_isEnded) return;
        End();
        if ((await slot.Outcome.ConfigureAwait(false)).IsStale) throw new StaleCommitException(1);
    }
}
