namespace DataSync.Storage;

/// <summary>
/// Carries messages among the tabs that have one database open. A hint, never an authority: messages may be lost,
/// doubled or late, but those of one sender that do arrive keep their order.
/// </summary>
/// <remarks>One instance serves one <see cref="CommitPipeline"/>, which disposes it.</remarks>
public interface ICommitChannel : IAsyncDisposable
{
    /// <summary>
    /// A message of another tab, never one's own. The array belongs to the handler. Raised one at a time, never from
    /// within <see cref="Post"/>.
    /// </summary>
    event Action<byte[]>? Received;

    /// <summary>Starts to listen; messages posted by others before this completes are missed.</summary>
    ValueTask OpenAsync(CancellationToken cancellationToken);

    /// <summary>Sends a message to all other tabs. Does not throw; the bytes are copied before it returns.</summary>
    void Post(byte[] message);
}
