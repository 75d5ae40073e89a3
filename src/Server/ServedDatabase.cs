using DataSync.Coordination;
using DataSync.Remote;
using DataSync.Storage;
using DataSync.Vfs;

namespace DataSync.Server;

/// <summary>One database that clients are connected with. The server has it open as well, so there is always a tab that can lead.</summary>
internal sealed class ServedDatabase(DatabaseServer server, string name)
{
    private readonly Lock _gate = new();
    private readonly List<ClientSession> _sessions = [];
    private readonly TabClaims _claims = new();
    private Task<DataSyncDatabase>? _opening;
    private ITimer? _closing;
    private bool _isOver;
    private bool _isCounted;

    public string Name => name;

    public bool IsIdle
    {
        get
        {
            lock (_gate) return _sessions.Count == 0;
        }
    }

    private ClientSession[] Sessions
    {
        get
        {
            lock (_gate) return [.. _sessions];
        }
    }

    /// <returns>False: there are too many.</returns>
    public bool TryAdd(ClientSession session)
    {
        lock (_gate)
        {
            if (_sessions.Count >= server.Options.MaxSocketsPerDatabase) return false;
            _sessions.Add(session);
            _closing?.Dispose();
            _closing = null;
            return true;
        }
    }

    /// <returns>How many are left.</returns>
    public int Remove(ClientSession session)
    {
        lock (_gate)
        {
            _sessions.Remove(session);
            return _sessions.Count;
        }
    }

    /// <summary>Opens the database where it is not open yet.</summary>
    /// <returns>False: it was, and has stopped. It is to be served anew.</returns>
    public async Task<bool> OpenAsync(CancellationToken cancellationToken)
    {
        Task<DataSyncDatabase> opening;
        lock (_gate) opening = _opening ??= OpenNewAsync();
        var database = await opening.WaitAsync(cancellationToken).ConfigureAwait(false);
        lock (_gate) return database.IsUsable && !_isOver;
    }

    /// <summary>Whether a session may speak for a tab: for none of the server's, nor for one that another session speaks for, unless that was the same client before a cut.</summary>
    /// <inheritdoc cref="TabClaims.TryClaim" path="/param"/>
    public bool TryClaim(TabId tab, byte[] secret, ITabSpeaker speaker, out Task isFree)
    {
        isFree = Task.CompletedTask;
        lock (_gate) if (_opening is not { IsCompletedSuccessfully: true, Result.Coordinator: var coordinator } || tab == coordinator.Id || coordinator.Members.Contains(tab)) return false;
        return _claims.TryClaim(tab, secret, speaker, out isFree);
    }

    /// <inheritdoc cref="TabClaims.Release"/>
    public void Release(TabId tab, ITabSpeaker speaker) => _claims.Release(tab, speaker);

    /// <summary>What keeps it from being written at this moment; null when nothing does, as far as the store and those who lead say.</summary>
    public async Task<string?> FindTroubleAsync(CancellationToken cancellationToken)
    {
        if (_opening is not { IsCompletedSuccessfully: true, Result: var database }) return "It is being opened.";
        if (database.Coordinator.LeaderId is null) return "Nobody leads.";
        try
        {
            await database.ProbeAsync(cancellationToken).ConfigureAwait(false);
            return null;
        }
        catch (StorageException error)
        {
            return error.Message;
        }
        catch (ObjectDisposedException)
        {
            return null; // closed a moment ago
        }
    }

    /// <summary>Who leads, as a frame.</summary>
    public Frame MakeLease()
    {
        var coordinator = _opening!.Result.Coordinator;
        return new(FrameKind.Lease, 0, default, Bodies.Lease(coordinator.LeaderId, coordinator.Epoch));
    }

    /// <summary>Closes it after the idle time, unless somebody connects.</summary>
    public void CloseLater()
    {
        lock (_gate)
        {
            if (_isOver || _sessions.Count > 0) return;
            _closing?.Dispose();
            _closing = server.Time.CreateTimer(_ => _ = server.CloseIdleAsync(this), null, server.Options.IdleTimeout, Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Ends all connections; they come back by themselves.</summary>
    public void Stop()
    {
        lock (_gate)
        {
            if (_isOver) return;
            _isOver = true;
            _closing?.Dispose();
            if (_opening is { IsCompletedSuccessfully: true, Result: var database }) Listen(database, isOn: false);
            if (_isCounted) ServerMetrics.OnServed(name, isOn: false);
        }

        foreach (var session in Sessions) session.End("The database is being closed here. Connect again.");
    }

    private async Task<DataSyncDatabase> OpenNewAsync()
    {
        await Task.Yield(); // outside of the lock
        try
        {
            var database = await server.Factory.OpenServedAsync(name, CancellationToken.None).ConfigureAwait(false);
            lock (_gate)
            {
                Listen(database, isOn: !_isOver);
                _isCounted = !_isOver;
                if (_isCounted) ServerMetrics.OnServed(name, isOn: true);
            }

            Log.Served(server.Logger, name);
            server.Note(name, null);
            return database;
        }
        catch (Exception error)
        {
            server.Note(name, error.Message);
            server.Forget(this);
            throw;
        }
    }

    private void Listen(DataSyncDatabase database, bool isOn)
    {
        if (isOn)
        {
            database.Coordinator.Heartbeat += OnHeartbeat;
            database.Coordinator.LeadershipChanged += OnHeartbeat;
            database.Faulted += OnFaulted;
        }
        else
        {
            database.Coordinator.Heartbeat -= OnHeartbeat;
            database.Coordinator.LeadershipChanged -= OnHeartbeat;
            database.Faulted -= OnFaulted;
        }
    }

    private void OnHeartbeat(object? sender, EventArgs e)
    {
        if (Sessions is not { Length: > 0 } sessions) return;
        var lease = MakeLease();
        foreach (var session in sessions) session.Tell(lease);
    }

    private void OnFaulted(object? sender, StorageFaultedEventArgs e)
    {
        Log.Stopped(server.Logger, name, e.Error.Message);
        server.Note(name, e.Error.Message);
        server.Forget(this);
    }
}
