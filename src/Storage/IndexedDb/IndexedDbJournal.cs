using System.Globalization;
using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// A journal in the browser's IndexedDB, in the database <c>datasync-outbox:{scope}</c>, for all tabs of that scope. Only in WebAssembly, on the page's one .NET thread. An entry is added with strict
/// durability. A connection that the browser closed is opened again by the next call.
/// </summary>
/// <remarks>
/// Each tab holds a Web Lock with its queue's name for as long as it is open, and the heir one more, for which the others wait. The heir also waits for the lock of each other tab: those that it finds,
/// and those that tell of themselves later. A tab has its lock before it appends anything, so a queue with entries whose lock nobody holds is one that was left.
/// </remarks>
internal sealed class IndexedDbJournal(string scope) : IDeferredJournal
{
    private readonly string _name = "datasync-outbox:" + scope;
    private readonly List<JournalRequest> _locks = [];
    private readonly HashSet<TabId> _given = [], _watched = [], _ended = [];
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
        if (await HoldAsync("heir", waits: false).WaitAsync(cancellationToken).ConfigureAwait(false) is not null) return await InheritAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        _ = WaitToInheritAsync();
        return [];
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

    private async Task WaitToInheritAsync()
    {
        if (await HoldAsync("heir", waits: true).ConfigureAwait(false) is null) return;
        Listen();
        _changed.TrySetResult();
    }

    private Task<IReadOnlyList<JournalEntry>> InheritAsync()
    {
        Listen();
        return TakeLeftAsync();
    }

    // Before it looks who is there: of whoever comes later it hears.
    private void Listen() => _channel = JournalInterop.Listen(_name, tab => _ = WatchAsync(tab));

    private async Task<IReadOnlyList<JournalEntry>> TakeLeftAsync()
    {
        if (_channel == 0) return [];
        var entries = await ReadAsync().ConfigureAwait(false);
        var open = await FindOpenAsync().ConfigureAwait(false); // only now: an entry's tab was there before the entry
        foreach (var tab in open) _ = WatchAsync(tab);
        var left = entries.Select(entry => entry.Queue).Where(queue => queue != _queue && !open.Contains(queue) && !_given.Contains(queue)).ToHashSet();
        if (left.Count == 0) return [];
        entries = await ReadAsync().ConfigureAwait(false); // what was read first may be older than their end
        _given.UnionWith(left);
        return [.. entries.Where(entry => left.Contains(entry.Queue))];
    }

    private async Task<HashSet<TabId>> FindOpenAsync()
    {
        var request = JournalInterop.Add();
        JournalInterop.FindHeld(request.Number, _name + ":");
        await request.Task.ConfigureAwait(false);
        return [.. request.Names.Select(name => TabId.TryParse(name, out var tab) ? tab : default).Where(tab => tab != default && !_ended.Contains(tab))];
    }

    private async Task WatchAsync(TabId tab)
    {
        if (tab == _queue || !_watched.Add(tab) || await HoldAsync(tab.Value, waits: true).ConfigureAwait(false) is not { } held) return;
        _ended.Add(tab); // whoever looks at once may still find the lock
        LetGo(held);
        _changed.TrySetResult();
    }
}
