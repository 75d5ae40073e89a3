using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Extensions.Logging;

namespace DataSync.Remote;

/// <summary>
/// In the tab that is the gateway: the other tabs, the guests, whose frames go over its connection. What a guest asks is asked in its place, and the answer passed on; what the server says to a
/// tab goes to the guest that has joined it, what it says to all to each.
/// </summary>
internal sealed class GuestList(BrowserTabs tabs, string name, ILogger logger)
{
    /// <summary>The server takes 16 tabs on a connection; this one's own is among them.</summary>
    private const int MaxGuests = 15;

    private readonly Lock _lock = new();
    private readonly Dictionary<TabId, Guest> _guests = [];

    /// <summary>
    /// The last read of the store that was asked for. One at a time: a whole database must not wait in memory for several tabs at once, and the server answers one after the other anyway.
    /// </summary>
    private Task _reads = Task.CompletedTask;

    private RemoteConnection? _connection;
    private StorageException? _failure;
    private byte[]? _lease;

    /// <summary>This tab has a connection: those who wait are let in, and the others told.</summary>
    public void OnConnected(RemoteConnection connection)
    {
        Guest[] waiting;
        lock (_lock)
        {
            (_connection, _failure) = (connection, null);
            waiting = [.. _guests.Values];
        }

        foreach (var guest in waiting) Welcome(guest, connection);
        tabs.Post(TabLetterKind.Up, default, 0, default);
    }

    /// <summary>An attempt to connect failed: whoever waits is told, and who comes before the next one.</summary>
    public void OnFailed(StorageException failure)
    {
        Guest[] waiting;
        lock (_lock)
        {
            _failure = failure;
            waiting = [.. _guests.Values];
            _guests.Clear();
        }

        foreach (var guest in waiting) Refuse(guest, failure);
    }

    /// <summary>The next attempt to connect begins.</summary>
    public void OnConnecting()
    {
        lock (_lock) _failure = null;
    }

    /// <summary>The connection is over, or this tab is not the gateway any more: so it is for the guests.</summary>
    public void End()
    {
        Guest[] guests;
        lock (_lock)
        {
            guests = [.. _guests.Values];
            _guests.Clear();
            (_connection, _lease) = (null, null);
        }

        foreach (var guest in guests) guest.End(TabLetterKind.Bye);
    }

    /// <summary>Guests that are no tabs any more leave: what they had of the write turn goes back.</summary>
    public void Keep(IReadOnlyList<TabId> members)
    {
        Guest[] gone;
        lock (_lock)
        {
            gone = [.. _guests.Values.Where(guest => !members.Contains(guest.Id))];
            foreach (var guest in gone) _guests.Remove(guest.Id);
        }

        foreach (var guest in gone) Leave(guest);
    }

    /// <summary>Something that answers no request came from the server.</summary>
    public void OnFrame(Frame frame)
    {
        Guest[] addressees;
        byte[]? bytes = null;
        lock (_lock)
        {
            if (frame.Kind == FrameKind.Lease) _lease = bytes = frame.Encode();
            addressees = [.. _guests.Values.Where(guest => guest.IsWelcome && (frame.Tab == default || guest.Tabs.Contains(frame.Tab)))];
        }

        if (addressees.Length == 0) return;
        bytes ??= frame.Encode();
        foreach (var guest in addressees) guest.Post(bytes);
    }

    /// <summary>Takes a letter that is for this tab as the gateway.</summary>
    public void Take(TabLetter letter)
    {
        Guest? guest;
        lock (_lock) guest = _guests.GetValueOrDefault(letter.Sender) is { } known && known.Line == letter.Line ? known : null;
        if (letter.Kind == TabLetterKind.Bye)
        {
            if (guest is not null && Remove(guest)) Leave(guest);
            return;
        }

        try
        {
            var frame = Frame.Parse(letter.Body);
            if (guest is null) Admit(letter, frame);
            else Take(guest, frame);
        }
        catch (ProtocolException)
        {
            tabs.Post(TabLetterKind.Refused, letter.Sender, letter.Line, default);
        }
    }

    private void Admit(TabLetter letter, Frame frame)
    {
        var guest = new Guest(tabs, letter.Sender, letter.Line);
        if (frame.Kind != FrameKind.Hello || !tabs.IsGateway)
        {
            guest.End(TabLetterKind.Bye); // of a line that is over
            return;
        }

        if (Bodies.ReadHello(frame.Body.Span) is not { IsKnown: true } hello || hello.Name != name)
        {
            guest.End(TabLetterKind.Refused); // of a newer version, or an older one: on its own it may be understood
            return;
        }

        Guest? former;
        RemoteConnection? connection;
        StorageException? failure;
        bool isFull;
        lock (_lock)
        {
            _guests.Remove(guest.Id, out former);
            (connection, failure, isFull) = (_connection, _failure, _guests.Count >= MaxGuests);
            if (!isFull && failure is null) _guests.Add(guest.Id, guest);
        }

        if (former is not null) Leave(former);
        if (failure is not null) Refuse(guest, failure);
        else if (isFull) guest.End(TabLetterKind.Refused);
        else if (connection is not null) Welcome(guest, connection);
        else tabs.Post(TabLetterKind.Up, guest.Id, guest.Line, default); // soon
    }

    private void Take(Guest guest, Frame frame)
    {
        RemoteConnection? connection;
        lock (_lock) connection = guest.IsWelcome ? _connection : null;
        if (connection is null) return;
        switch (frame.Kind)
        {
            case FrameKind.Join:
                lock (_lock) guest.Tabs.Add(frame.Tab);
                _ = ForwardAsync(Task.CompletedTask, guest, connection, frame);
                break;
            case FrameKind.Leave:
                lock (_lock) guest.Tabs.Remove(frame.Tab);
                connection.Tell(FrameKind.Leave, frame.Tab);
                break;
            case FrameKind.Open or FrameKind.Read:
                lock (_lock) _reads = ForwardAsync(_reads, guest, connection, frame);
                break;
            case FrameKind.Message when guest.Has(frame.Tab, _lock):
                // The server puts parts together for one message at a time: they follow each other.
                if (guest.Fragments.Add(frame.Body.ToArray()) is not { } message) break;
                foreach (var part in MessageFragments.Split(message)) connection.Post(frame.Tab, part);
                break;
        }
    }

    private static async Task ForwardAsync(Task before, Guest guest, RemoteConnection connection, Frame asked)
    {
        try
        {
            await before.WaitAsync(guest.Ended).ConfigureAwait(false); // which does not fail
            await connection.RequestAsync(
                asked.Kind, asked.Tab, asked.Body.ToArray(), answer => guest.Post((answer with { Request = asked.Request }).Encode()), guest.Ended).ConfigureAwait(false);
            guest.Post(new Frame(FrameKind.End, asked.Request, asked.Tab).Encode());
        }
        catch (StorageException error)
        {
            guest.Post(new Frame(FrameKind.Error, asked.Request, asked.Tab, Bodies.Error(error)).Encode());
        }
        catch (OperationCanceledException)
        {
            // The guest is gone.
        }
    }

    private void Welcome(Guest guest, RemoteConnection connection)
    {
        lock (_lock) // so that nothing goes before it
        {
            if (guest.IsWelcome) return;
            guest.IsWelcome = true;
            guest.Post(new Frame(FrameKind.Welcome, 0, default, Bodies.Welcome(connection.Access.MayWrite, connection.Access.MayWritePages)).Encode());
            if (_lease is not null) guest.Post(_lease);
        }

        Log.GuestCame(logger, name, guest.Id);
    }

    private static void Refuse(Guest guest, StorageException failure)
    {
        guest.Post(new Frame(FrameKind.Error, 0, default, Bodies.Error(failure)).Encode());
        guest.End(TabLetterKind.Bye);
    }

    private void Leave(Guest guest)
    {
        RemoteConnection? connection;
        TabId[] joined;
        lock (_lock) (connection, joined) = (_connection, [.. guest.Tabs]);
        foreach (var tab in joined) connection?.Tell(FrameKind.Leave, tab);
        guest.End(TabLetterKind.Bye);
    }

    private bool Remove(Guest guest)
    {
        lock (_lock) return _guests.GetValueOrDefault(guest.Id) == guest && _guests.Remove(guest.Id);
    }

    /// <summary>Another tab, from its greeting on.</summary>
    private sealed class Guest : IDisposable
    {
        private readonly CancellationTokenSource _end = new();
        private readonly BrowserTabs _tabs;

        public Guest(BrowserTabs tabs, TabId id, uint line) => (_tabs, Id, Line, Ended) = (tabs, id, line, _end.Token);

        public TabId Id { get; }

        public uint Line { get; }

        public bool IsWelcome { get; set; }

        /// <summary>The tabs, as the server knows them, for which it speaks.</summary>
        public HashSet<TabId> Tabs { get; } = [];

        public MessageFragments Fragments { get; } = new();

        public CancellationToken Ended { get; }

        public bool Has(TabId tab, Lock gate)
        {
            lock (gate) return Tabs.Contains(tab);
        }

        public void Post(ReadOnlyMemory<byte> frame)
        {
            if (!Ended.IsCancellationRequested) _tabs.Post(TabLetterKind.Frame, Id, Line, frame);
        }

        /// <summary>Tells the guest that its line is over, and gives up what is asked for it.</summary>
        public void End(TabLetterKind kind)
        {
            if (Ended.IsCancellationRequested) return;
            _tabs.Post(kind, Id, Line, default);
            Dispose();
        }

        public void Dispose()
        {
            if (!Ended.IsCancellationRequested) _end.Cancel();
            _end.Dispose();
        }
    }
}
