using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Extensions.Logging;

namespace DataSync.Remote;

/// <summary>
/// The tabs of one browser that have one database of a server open: they elect one, the gateway, as the tabs of a local database elect their leader. Its connection serves all of them. Where another tab
/// becomes the gateway, every tab takes that for a cut of its connection, so nothing here need be reliable.
/// </summary>
/// <remarks>A tab whose gateway does not answer has a connection of its own until another one is elected: a page can hang and still hold its lock.</remarks>
internal sealed class BrowserTabs : IAsyncDisposable
{
    private readonly TabCoordinator _coordinator;
    private readonly ICommitChannel _channel;
    private readonly ILogger _logger;
    private readonly string _name;
    private readonly Lock _gate = new();
    private GuestLine? _line;
    private TabId? _leader, _distrusted;
    private uint _lastNumber;
    private bool _hasJoined;

    /// <summary>Makes a tab that has not joined the others yet. It owns the parts.</summary>
    /// <param name="platform">Where it is elected; its scope is what is shared.</param>
    /// <param name="channel">Joins the tabs.</param>
    /// <param name="scope">Names what is shared.</param>
    /// <param name="name">The database.</param>
    /// <param name="time">The clock.</param>
    /// <param name="logger">The log.</param>
    public BrowserTabs(ITabPlatform platform, ICommitChannel channel, string scope, string name, TimeProvider time, ILogger logger)
    {
        (_channel, _name, _logger) = (channel, name, logger);
        _coordinator = new(platform, new() { Scope = scope }, time, logger);
        Guests = new(this, name, logger);
        _coordinator.LeadershipChanged += (_, e) => OnLeader(e.NewLeader);
        _coordinator.MembersChanged += (_, _) => Guests.Keep(_coordinator.Members);
        _channel.Received += OnReceived;
    }

    /// <summary>There is another way to the server than before: whoever waits with the next attempt need not.</summary>
    public event Action? WayChanged;

    /// <summary>The tabs that go over this one.</summary>
    public GuestList Guests { get; }

    /// <summary>Whether this tab is the others' gateway.</summary>
    public bool IsGateway => _coordinator.Role == TabRole.Leader;

    /// <summary>Joins the others. Where the page has nothing to do so with, this tab is alone, with a connection of its own.</summary>
    public async Task JoinAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _channel.OpenAsync(_coordinator.Id, cancellationToken).ConfigureAwait(false);
            await _coordinator.JoinAsync(cancellationToken).ConfigureAwait(false);
            _hasJoined = true;
        }
        catch (Exception error) when (error is CoordinationException or StorageException or System.Runtime.InteropServices.JavaScript.JSException)
        {
            Log.Alone(_logger, _name, error.Message);
        }
    }

    /// <summary>The line over the gateway, not greeted yet; null where this tab is to have a connection of its own.</summary>
    public async ValueTask<GuestLine?> FindLineAsync(CancellationToken cancellationToken)
    {
        if (!_hasJoined) return null;
        TabId gateway;
        try
        {
            gateway = await _coordinator.WaitForLeaderAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception error) when (error is CoordinationException or ObjectDisposedException)
        {
            return null; // the lease cannot be written
        }

        lock (_gate)
        {
            if (gateway == _coordinator.Id || gateway == _distrusted) return null;
            return _line = new GuestLine(this, gateway, ++_lastNumber);
        }
    }

    /// <summary>The line has had time enough: where the gateway has not said a word it is gone round until another one is elected.</summary>
    public void Distrust(GuestLine line)
    {
        lock (_gate)
        {
            if (line.IsAnswered || _line != line) return;
            _distrusted = line.Gateway;
        }

        line.End("the tab that is the gateway does not answer");
    }

    /// <summary>Whether the line's gateway takes no guests, or hangs.</summary>
    public bool IsDistrusted(GuestLine line)
    {
        lock (_gate) return _distrusted == line.Gateway;
    }

    /// <summary>Sends a letter; default for all.</summary>
    public void Post(TabLetterKind kind, TabId to, uint line, ReadOnlyMemory<byte> body) => _channel.Post(new TabLetter(kind, _coordinator.Id, to, line, body).Encode(), to);

    public async ValueTask DisposeAsync()
    {
        Guests.End();
        GuestLine? line;
        lock (_gate) (line, _line) = (_line, null);
        line?.Abort();
        await _coordinator.DisposeAsync().ConfigureAwait(false);
        await _channel.DisposeAsync().ConfigureAwait(false);
    }

    private void OnLeader(TabId? leader)
    {
        if (leader is not { } gateway) return; // until one is known nothing is lost by staying
        GuestLine? former = null;
        lock (_gate)
        {
            if (_leader == gateway) return;
            (_leader, _distrusted) = (gateway, null);
            if (_line is { IsOver: false } line && line.Gateway != gateway) former = line;
        }

        if (gateway != _coordinator.Id) Guests.End();
        former?.End("another tab is the gateway now");
        WayChanged?.Invoke();
    }

    private void OnReceived(byte[] bytes)
    {
        if (TabLetter.TryParse(bytes) is not { } letter || letter.Sender == _coordinator.Id || (letter.To != default && letter.To != _coordinator.Id)) return;
        GuestLine? line;
        lock (_gate) line = _line;
        var isOurs = line is not null && letter.Sender == line.Gateway && letter.Line == line.Number;
        switch (letter.Kind)
        {
            case TabLetterKind.Frame when isOurs:
                line!.Take(letter.Body);
                break;
            case TabLetterKind.Up when isOurs:
                line!.IsAnswered = true;
                break;
            case TabLetterKind.Bye when isOurs:
                line!.IsAnswered = true;
                line.End("the tab that is the gateway has no connection any more");
                break;
            case TabLetterKind.Refused when isOurs:
                lock (_gate) _distrusted = letter.Sender;
                line!.End("the tab that is the gateway takes no more guests");
                break;
            case TabLetterKind.Frame or TabLetterKind.Bye when letter.To == _coordinator.Id:
                Guests.Take(letter);
                break;
            case TabLetterKind.Up when letter.To == default && line is null or { IsOver: true }:
                WayChanged?.Invoke();
                break;
        }
    }
}
