using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>What is kept in memory for the tabs of one device.</summary>
/// <param name="hasLocks">False: as in pages without locks.</param>
internal sealed class MemoryJournal(bool hasLocks = true)
{
    private readonly bool _hasLocks = hasLocks;
    private readonly Lock _gate = new();
    private readonly SortedDictionary<(TabId Queue, long Number), JournalEntry> _entries = [];

    // In the order in which they were opened: the first that inherits is the heir.
    private readonly List<Tab> _open = [];

    /// <summary>How many entries there are.</summary>
    public int Count => Entries.Count;

    /// <summary>What there is, the oldest queue first, each in its order.</summary>
    public IReadOnlyList<JournalEntry> Entries
    {
        get
        {
            lock (_gate) return [.. _entries.Values];
        }
    }

    /// <summary>The journal of another tab, which ends when it is disposed.</summary>
    public IDeferredJournal NewTab() => new Tab(this);

    private sealed class Tab(MemoryJournal shared) : IDeferredJournal
    {
        private readonly HashSet<TabId> _given = [];
        private readonly SemaphoreSlim _changed = new(0);
        private TabId _queue;
        private bool _inherits, _isClosed;

        public ValueTask<IReadOnlyList<JournalEntry>> OpenAsync(TabId queue, bool inherits, CancellationToken cancellationToken)
        {
            lock (shared._gate)
            {
                (_queue, _inherits) = (queue, inherits);
                shared._open.Add(this);
                return new(TakeLeft(isOpening: true));
            }
        }

        public async ValueTask<IReadOnlyList<JournalEntry>> WaitForLeftAsync()
        {
            while (true)
            {
                lock (shared._gate)
                {
                    if (_isClosed) return [];
                    if (TakeLeft(isOpening: false) is { Count: > 0 } left) return left;
                }

                await _changed.WaitAsync().ConfigureAwait(false);
            }
        }

        public ValueTask AppendAsync(JournalEntry entry)
        {
            lock (shared._gate) shared._entries.Add((entry.Queue, entry.Number), entry);
            return default;
        }

        public ValueTask ReplaceAsync(JournalEntry entry)
        {
            lock (shared._gate) shared._entries[(entry.Queue, entry.Number)] = entry;
            return default;
        }

        public ValueTask RemoveAsync(IReadOnlyList<JournalEntry> entries)
        {
            lock (shared._gate) foreach (var entry in entries) shared._entries.Remove((entry.Queue, entry.Number));
            return default;
        }

        public ValueTask DisposeAsync()
        {
            lock (shared._gate)
            {
                if (_isClosed) return default;
                _isClosed = true;
                shared._open.Remove(this);
                _changed.Release();
                if (shared._hasLocks) foreach (var tab in shared._open) tab._changed.Release();
            }

            return default;
        }

        private List<JournalEntry> TakeLeft(bool isOpening)
        {
            var isHeir = _inherits && shared._open.Find(tab => tab._inherits) == this;
            if (!(isOpening ? _inherits : isHeir && shared._hasLocks)) return [];
            List<JournalEntry> left = [.. shared._entries.Values.Where(entry => !shared._hasLocks || !shared._open.Exists(tab => tab._queue == entry.Queue || tab._given.Contains(entry.Queue)))];
            _given.UnionWith(left.Select(entry => entry.Queue));
            return left;
        }
    }
}
