using System.Security.Cryptography;
using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Extensions.Logging;

namespace DataSync.Remote;

/// <summary>Messages between this tab and the server, which passes them on to the tabs over there. What is posted while there is no connection is lost, as every message may be.</summary>
internal sealed class RemoteCommitChannel(RemoteLink link, string name) : ICommitChannel, IRemoteMember
{
    private readonly MessageFragments _own = new(), _all = new(); // parts of what is for all come among those of what is for this tab

    /// <summary>By which this tab proves after a cut that it is the one that joined before: its id is no secret.</summary>
    private readonly byte[] _secret = RandomNumberGenerator.GetBytes(16);

    private TabId _self;

    /// <inheritdoc/>
    public event Action<byte[]>? Received;

    /// <inheritdoc/>
    public async ValueTask OpenAsync(TabId self, CancellationToken cancellationToken)
    {
        _self = self;
        await link.JoinOrEnlistAsync(this, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public void Post(byte[] message, TabId addressee)
    {
        if (link.Connection is not { } connection) return;
        foreach (var part in MessageFragments.Split(message)) connection.Post(_self, part);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        link.Connection?.Tell(FrameKind.Leave, _self);
        await link.LeaveAsync(this).ConfigureAwait(false);
    }

    async ValueTask IRemoteMember.EnterAsync(RemoteConnection connection, CancellationToken cancellationToken) =>
        await connection.RequestAsync(FrameKind.Join, _self, _secret, null, cancellationToken).ConfigureAwait(false);

    void IRemoteMember.OnFrame(Frame frame)
    {
        if (frame.Kind != FrameKind.Message || (frame.Tab != _self && frame.Tab != default)) return;
        if ((frame.Tab == default ? _all : _own).Add(frame.Body.ToArray()) is not { } message) return;
        try
        {
            Received?.Invoke(message);
        }
#pragma warning disable CA1031 // A handler that fails must not end the connection.
        catch (Exception error)
#pragma warning restore CA1031
        {
            Log.HandlerFailed(link.Logger, error, name);
        }
    }

    void IRemoteMember.OnLost()
    {
        // What is missed now is asked for again.
    }

    void IRemoteMember.OnRestored()
    {
        // The coordinator says so to everybody.
    }
}
