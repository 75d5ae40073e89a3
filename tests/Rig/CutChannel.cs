using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Rig;

/// <summary>Loses what is posted and what comes while it is cut.</summary>
internal sealed class CutChannel : ICommitChannel
{
    private readonly ICommitChannel _inner;
    private readonly Func<bool> _isCut;

    public CutChannel(ICommitChannel inner, Func<bool> isCut)
    {
        (_inner, _isCut) = (inner, isCut);
        inner.Received += message =>
        {
            if (!_isCut()) Received?.Invoke(message);
        };
    }

    public event Action<byte[]>? Received;

    public ValueTask OpenAsync(TabId self, CancellationToken cancellationToken) => _inner.OpenAsync(self, cancellationToken);

    public void Post(byte[] message, TabId addressee)
    {
        if (!_isCut()) _inner.Post(message, addressee);
    }

    public ValueTask DisposeAsync() => _inner.DisposeAsync();
}
