using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// Carries messages among the tabs that have one database open. A hint, never an authority: messages may be lost,
/// doubled or late, but those of one sender that do arrive keep their order.
/// </summary>
/// <remarks>One instance serves one <see cref="CommitPipeline"/>, which disposes it.</remarks>
internal interface ICommitChannel : IAsyncDisposable
{
    /// <summary>
    /// A message of another tab, never one's own. The array belongs to the handler. Raised one at a time, never from
    /// within <see cref="Post"/>.
    /// </summary>
    event Action<byte[]>? Received;

    /// <summary>Starts to listen; messages posted by others before this completes are missed.</summary>
    /// <param name="self">The id under which others address this tab.</param>
    /// <param name="cancellationToken">Stops opening.</param>
    ValueTask OpenAsync(TabId self, CancellationToken cancellationToken);

    /// <summary>Sends a message. Does not throw; the bytes are copied before it returns.</summary>
    /// <param name="message">The bytes.</param>
    /// <param name="addressee">The tab that it is for; the others may get it as well, but need not. Default: all other tabs.</param>
    void Post(byte[] message, TabId addressee);
}
