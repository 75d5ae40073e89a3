using System.Net.WebSockets;
using System.Threading.Channels;
using DataSync.Coordination;

namespace DataSync.Remote;

/// <summary>A guest's line to the server over the tab that is the gateway.</summary>
internal sealed class GuestLine(BrowserTabs tabs, TabId gateway, uint number) : IFrameLine
{
    private readonly Channel<ReadOnlyMemory<byte>> _in = Channel.CreateUnbounded<ReadOnlyMemory<byte>>(
        new() { SingleReader = true, AllowSynchronousContinuations = OperatingSystem.IsBrowser() });

    private volatile bool _isOver;

    /// <summary>The tab that it goes over.</summary>
    public TabId Gateway => gateway;

    public uint Number => number;

    /// <summary>Whether it is over, or its user has ended it.</summary>
    public bool IsOver => _isOver;

    /// <summary>Whether the gateway has ever answered, be it that it has no connection yet.</summary>
    public bool IsAnswered { get; set; }

    /// <inheritdoc/>
    public WebSocketCloseStatus? CloseStatus => null;

    /// <inheritdoc/>
    public string? CloseDescription { get; private set; }

    /// <inheritdoc/>
    public Task SendLoopAsync() => Task.CompletedTask; // what is posted is on its way

    /// <inheritdoc/>
    public bool TrySend(Frame frame)
    {
        if (_isOver) return false;
        tabs.Post(TabLetterKind.Frame, gateway, number, frame.Encode());
        return true;
    }

    /// <inheritdoc/>
    public async ValueTask<Frame?> ReceiveAsync(int maxSize, CancellationToken cancellationToken)
    {
        while (await _in.Reader.WaitToReadAsync(cancellationToken).ConfigureAwait(false))
        {
            if (!_in.Reader.TryRead(out var bytes)) continue;
            return bytes.Length <= maxSize ? Frame.Parse(bytes) : throw ProtocolException.TooLarge(maxSize);
        }

        return null;
    }

    /// <inheritdoc/>
    public void Close(WebSocketCloseStatus status, string description)
    {
        if (!_isOver) tabs.Post(TabLetterKind.Bye, gateway, number, default);
        End(description);
    }

    /// <inheritdoc/>
    public void Abort() => Close(WebSocketCloseStatus.Empty, "");

    /// <summary>Takes a frame of the gateway.</summary>
    public void Take(ReadOnlyMemory<byte> frame)
    {
        IsAnswered = true;
        _in.Writer.TryWrite(frame);
    }

    /// <summary>It is over: what came before is still received.</summary>
    public void End(string why)
    {
        if (_isOver) return;
        (CloseDescription, _isOver) = (why, true);
        _in.Writer.TryComplete();
    }

    public void Dispose() => Abort();
}
