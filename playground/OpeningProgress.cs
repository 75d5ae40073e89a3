using DataSync.Storage;

namespace DataSync.Playground;

/// <summary>How far opening the database has come; large ones take a moment.</summary>
public sealed class OpeningProgress : IProgress<RecoveryProgress>
{
    public RecoveryProgress Last { get; private set; }

    /// <inheritdoc />
    public void Report(RecoveryProgress value)
    {
        Last = value;
        Page.RequestRefresh();
    }
}
