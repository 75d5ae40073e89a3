using System.Globalization;
using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// A journal in the browser's IndexedDB, in the database <c>datasync-outbox:{scope}</c>, for all tabs of that scope. Only in WebAssembly, on the page's one .NET thread. An entry is added with strict
/// durability. A connection that the browser closed is opened again by the next call.
/// </summary>
/// <remarks>
/// Each tab holds a Web Lock with its queue's name for as long as it is open, and those of the queues that it was given. A tab has its lock before it appends anything, so a queue with entries whose lock
/// nobody holds is one that was left. Whoever opens takes those. Of the others one, the heir, waits for the locks of all tabs: those that it finds, and those that tell of themselves later. It leaves what a
/// tab has left to whoever opens for a while, which is that tab itself when its page is loaded anew, and then takes it.
/// </remarks>
/// <param name="scope">What the tabs share.</param>
/// <param name="time">The clock.</param>
/// <param name="grace">How long the heir waits; null: 20 s, in which a page opens on a slow machine, too.</param>
internal sealed class IndexedDbJournal(string scope, TimeProvider time, TimeSpan? grace = null) : IDeferredJournal
{
    private static readonly TimeSpan DefaultGrace = TimeSpan.FromSeconds(20), TurnPatience = TimeSpan.FromSeconds(1);

    private readonly string _name = "datasync-outbox:" + scope;
    private readonly List<JournalRequest> _locks = [];
    private readonly HashSet<TabId> _watched = [];
    private TaskCompletionSource _changed = new();
    private TabId _queue;
    private int _channel;
    private bool _isClosed;

    public async ValueTask<IReadOnlyList<JournalEntry>> OpenAsync(TabId queue, bool inherits, CancellationToken cancellationToken)
    {
        await JournalInterop.LoadAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        _queue = queue;
        if (!JournalInterop.HasLocks()) return inherits ? await ReadAsync().WaitAsync(cancellationToken).ConfigureAwait(false) : [];
        await HoldAsync(queue.Value, waits: true).WaitAsync(cancellationToken).ConfigureAwait(false);
        JournalInterop.Announce(_name, queue.Value);
        if (!inherits) return [];
        var left = await TakeLeftAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        _ = InheritAsync();
        return left;
    }

    public async ValueTask<IReadOnlyList<JournalEntry>> WaitForLeftAsync()
    {
        while (true)
        {
            await _changed.Task.ConfigureAwait(false);
            if (_isClosed) return [];
            _changed = new();
            try
            {
                await Task.Delay(grace ?? DefaultGrace, time).ConfigureAwait(false);
                if (_isClosed) return [];
                if (await TakeLeftAsync().ConfigureAwait(false) is { Count: > 0 } left) return left;
            }
            catch (StorageException)
            {
                _changed.TrySetResult();
                throw;
            }
        }
    }

    public ValueTask AppendAsync(JournalEntry entry) => RunAsync(request => JournalInterop.Append(request, _name, entry.Queue.Value, entry.Number, entry.Body));

    public ValueTask ReplaceAsync(JournalEntry entry) => RunAsync(request => JournalInterop.Replace(request, _name, entry.Queue.Value, entry.Number, entry.Body));

    public ValueTask RemoveAsync(IReadOnlyList<JournalEntry> entries)
    {
        var keys = string.Join(',', entries.Select(entry => string.Create(CultureInfo.InvariantCulture, $"[\"{entry.Queue.Value}\",{entry.Number}]")));
        return RunAsync(request => JournalInterop.Remove(request, _name, $"[{keys}]"));
    }

    public ValueTask DisposeAsync()
    {
        if (_isClosed) return default;
        _isClosed = true;
        foreach (var request in _locks.ToArray()) JournalInterop.LetGo(request.Number);
        JournalInterop.CloseIfLoaded(_name, _channel);
        _changed.TrySetResult();
        return default;
    }

    // Others may have been given this tab's queue since, so nothing of it is changed any more.
    private async ValueTask RunAsync(Action<int> issue)
    {
        if (_isClosed) throw PipelineCore.ClosedError();
        var request = JournalInterop.Add();
        issue(request.Number);
        await request.Task.ConfigureAwait(false);
    }

    private async Task<List<JournalEntry>> ReadAsync()
    {
        var request = JournalInterop.Add();
        JournalInterop.Read(request.Number, _name);
        await request.Task.ConfigureAwait(false);
        return request.Found;
    }

    /// <returns>The lock; null where it is another's and is not waited for, or this was disposed meanwhile.</returns>
    private async Task<JournalRequest?> HoldAsync(string name, bool waits)
    {
        if (_isClosed) return null;
        var request = JournalInterop.Add();
        _locks.Add(request);
        JournalInterop.Hold(request.Number, $"{_name}:{name}", waits);
        await request.Task.ConfigureAwait(false);
        if (request.IsHeld && !_isClosed) return request;
        LetGo(request);
        return null;
    }

    private void LetGo(JournalRequest held)
    {
        JournalInterop.LetGo(held.Number);
        _locks.Remove(held);
    }

    private async Task LetGoAsync(Task<JournalRequest?> holding)
    {
        if (await holding.ConfigureAwait(false) is { } held) LetGo(held);
    }

    private async Task InheritAsync()
    {
        if (await HoldAsync("heir", waits: true).ConfigureAwait(false) is null) return;
        _channel = JournalInterop.Listen(_name, tab => _ = WatchAsync(tab)); // before it looks who is there: of whoever comes later it hears
        foreach (var tab in await FindHeldAsync().ConfigureAwait(false)) _ = WatchAsync(tab);
        _changed.TrySetResult();
    }

    // One tab at a time, so that all that a tab had goes to the same one; but nobody waits long for one that was stopped in the middle.
    private async Task<IReadOnlyList<JournalEntry>> TakeLeftAsync()
    {
        var turn = HoldAsync("turn", waits: true);
        await Task.WhenAny(turn, Task.Delay(TurnPatience, time)).ConfigureAwait(false);
        try
        {
            var entries = await ReadAsync().ConfigureAwait(false);
            if (entries.Count == 0) return [];
            var held = await FindHeldAsync().ConfigureAwait(false); // only now: an entry's tab was there before the entry
            var left = new HashSet<TabId>();
            foreach (var queue in entries.Select(entry => entry.Queue).Distinct().Where(queue => queue != _queue && !held.Contains(queue)))
                if (await HoldAsync(queue.Value, waits: false).ConfigureAwait(false) is not null) left.Add(queue);
            if (left.Count == 0) return [];
            entries = await ReadAsync().ConfigureAwait(false); // what was read first may be older than their end
            return [.. entries.Where(entry => left.Contains(entry.Queue))];
        }
        finally
        {
            _ = LetGoAsync(turn);
        }
    }

    private async Task<HashSet<TabId>> FindHeldAsync()
    {
        var request = JournalInterop.Add();
        JournalInterop.FindHeld(request.Number, _name + ":");
        await request.Task.ConfigureAwait(false);
        return [.. request.Names.Select(name => TabId.TryParse(name, out var tab) ? tab : default).Where(tab => tab != default)];
    }

    private async Task WatchAsync(TabId tab)
    {
        if (tab == _queue || !_watched.Add(tab) || await HoldAsync(tab.Value, waits: true).ConfigureAwait(false) is not { } held) return;
        LetGo(held);
        _changed.TrySetResult();
    }
}
