using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;

namespace DataSync.Playground;

/// <summary>This tab's open database and what the page shows about it.</summary>
public sealed class Session(DataSyncFactory factory, PageOptions options, TimeProvider time) : IAsyncDisposable
{
    /// <summary>How long the page shows a commit as just arrived.</summary>
    private static readonly TimeSpan RecentLimit = TimeSpan.FromMilliseconds(700);

    private readonly Dictionary<TabId, long> lastCommits = [];

    /// <summary>Something on the page may look different now. Comes at most ten times a second, on a slow machine once, and not in a hidden tab.</summary>
    public event Action? Changed;

    /// <summary>A commit arrived, from this tab or another; as often as that happens.</summary>
    public event Action<CommittedEventArgs>? Committed;

    public PageOptions Options => options;

    public DataSyncDatabase? Database { get; private set; }

    /// <summary>Why the database could not be opened, or has stopped.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>The last sync that made deferred writes durable.</summary>
    public SyncSucceededEventArgs? LastSync { get; private set; }

    public EventLog Log { get; } = new(time);

    public LatencyHistory Latency { get; } = new();

    /// <summary>What DataSync's meters say of this database.</summary>
    public LiveMetrics Metrics { get; } = new(options.Database, time);

    /// <summary>The tabs that committed in the last moment.</summary>
    public IReadOnlySet<TabId> RecentWriters => lastCommits.Where(commit => time.GetElapsedTime(commit.Value) < RecentLimit).Select(commit => commit.Key).ToHashSet();

    /// <summary>Opens the database. A failure is kept in <see cref="Failure"/> and shown, never swallowed.</summary>
    public async Task OpenAsync()
    {
        Page.Refresh += OnRefresh;
        var start = time.GetTimestamp();
        try
        {
            Use(await factory.OpenAsync());
            Log.Add("note", $"opened {options.Database} at marker {Database!.Marker} in {time.GetElapsedTime(start).TotalMilliseconds:0} ms");
            if (Database.RecoveryReport is { Findings.Count: > 0 } report)
            {
                Log.Add("error", report.Describe());
            }
        }
        catch (Exception error)
        {
            Failure = error;
            Log.Add("error", $"{error.GetType().Name}: {error.Message}");
        }

        await Scripting.AttachAsync(this);
        Page.RequestRefresh();
    }

    /// <summary>After its store was lost: puts what this tab holds into the new one, and goes on.</summary>
    public async Task RestoreAsync()
    {
        var database = await factory.RestoreAsync(Database ?? throw (Failure ?? new InvalidOperationException("The database is not open.")));
        Failure = null;
        Use(database);
        Log.Add("note", $"restored {options.Database}, at marker {database.Marker}");
        Page.RequestRefresh();
    }

    /// <summary>Runs a write and takes its time for the chart.</summary>
    public async Task<T> MeasureAsync<T>(Func<DataSyncDatabase, Task<T>> write)
    {
        var database = Database ?? throw (Failure ?? new InvalidOperationException("The database is not open yet."));
        var start = time.GetTimestamp();
        var result = await write(database);
        Latency.Add(time.GetElapsedTime(start), database.Coordinator.Role == TabRole.Leader);
        Page.RequestRefresh();
        return result;
    }

    /// <summary>Does something that may fail and puts the failure into the log.</summary>
    public async Task TryAsync(Func<DataSyncDatabase, Task> action)
    {
        if (Database is not { } database)
        {
            return;
        }

        try
        {
            await action(database);
        }
        catch (Exception error)
        {
            Log.Add("error", $"{error.GetType().Name}: {error.Message}");
        }

        Page.RequestRefresh();
    }

    public async Task CloseAsync()
    {
        if (Database is { } database)
        {
            Database = null;
            Failure = new ObjectDisposedException(options.Database, "This tab has closed the database. Reload the page to open it again.");
            await database.DisposeAsync();
            Log.Add("note", "closed");
            Page.RequestRefresh();
        }
    }

    public async ValueTask DisposeAsync()
    {
        Page.Refresh -= OnRefresh;
        await CloseAsync();
        Metrics.Dispose();
    }

    private void Use(DataSyncDatabase database)
    {
        Database = database;
        database.Committed += (_, commit) => OnCommitted(commit);
        database.AutoSync.SyncSucceeded += (_, sync) => OnSynced(sync);
        database.AutoSync.SyncFailed += (_, sync) => Log.Add("error", $"sync ({sync.Trigger}): {sync.Failed} writes were taken back: {sync.Error.Message}");
        database.AutoSync.BackpressureChanged += (_, pressure) => Log.Add("note", $"backpressure {(pressure.IsOn ? "on" : "off")} at {pressure.DirtyBytes} bytes");
        database.Faulted += (_, fault) => OnFaulted(fault);
        database.Coordinator.LeadershipChanged += (_, change) => OnLeadershipChanged(change);
        database.Coordinator.MembersChanged += (_, _) => OnMembersChanged();
        database.Coordinator.Heartbeat += (_, _) => Page.RequestRefresh(); // rates fall when nothing happens
    }

    private void OnRefresh()
    {
        Changed?.Invoke();
        if (RecentWriters.Count > 0)
        {
            // What was drawn as just arrived is not for long.
            Page.RequestRefresh();
        }
    }

    private void OnCommitted(CommittedEventArgs commit)
    {
        Log.AddCommit(commit.Position.Marker, commit.Writer);
        lastCommits[commit.Writer] = time.GetTimestamp();
        Committed?.Invoke(commit);
        Page.RequestRefresh();
    }

    private void OnSynced(SyncSucceededEventArgs sync)
    {
        LastSync = sync;
        Log.Add("note", $"sync ({sync.Trigger}): {sync.Commits} writes durable in {sync.Duration.TotalMilliseconds:0.0} ms");
        Page.RequestRefresh();
    }

    private void OnFaulted(StorageFaultedEventArgs fault)
    {
        Failure = fault.Error;
        Log.Add("error", $"{fault.Error.GetType().Name}: {fault.Error.Message}");
        Page.RequestRefresh();
    }

    private void OnLeadershipChanged(LeadershipChangedEventArgs change)
    {
        Log.Add("leader", change.NewLeader is null ? "no leader" : $"leads now, epoch {change.Epoch}", change.NewLeader);
        Page.RequestRefresh();
    }

    private void OnMembersChanged()
    {
        Log.Add("tabs", Database!.Coordinator.Members.Count is var count and not 1 ? $"{count} tabs are open" : "1 tab is open");
        Page.RequestRefresh();
    }
}
