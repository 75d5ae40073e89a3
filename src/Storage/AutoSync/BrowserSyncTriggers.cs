using System.Runtime.InteropServices.JavaScript;

namespace DataSync.Storage;

/// <summary>
/// In the browser: an idle moment of the page, the page being hidden (the last event that one can count on), and the page
/// being left. Only on the page's .NET thread.
/// </summary>
internal sealed class BrowserSyncTriggers : ISyncTriggers
{
    private Action<SyncTrigger>? _fire;
    private int _id;

    public bool IsHidden { get; private set; }

    public async ValueTask StartAsync(Action<SyncTrigger> fire, CancellationToken cancellationToken)
    {
        await SyncInterop.LoadAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        _fire = fire;
        (_id, IsHidden) = SyncInterop.Add(this);
    }

    public void Schedule(TimeSpan quiet, TimeSpan limit)
    {
        if (_id != 0) SyncInterop.Schedule(_id, quiet.TotalMilliseconds, limit.TotalMilliseconds);
    }

    public void Cancel()
    {
        if (_id != 0) SyncInterop.Cancel(_id);
    }

    public void Dispose()
    {
        if (_id != 0) SyncInterop.Remove(_id);
        _id = 0;
    }

    internal void OnIdle() => _fire?.Invoke(SyncTrigger.Idle);

    internal void OnLeft() => _fire?.Invoke(SyncTrigger.PageLeft);

    internal void OnVisibility(bool isHidden)
    {
        IsHidden = isHidden;
        if (isHidden) _fire?.Invoke(SyncTrigger.Hidden);
    }
}

/// <summary>The two halves of <c>sync.js</c>.</summary>
internal static partial class SyncInterop
{
    private const string Module = "DataSync.Storage.Sync";

    private static readonly Dictionary<int, BrowserSyncTriggers> Watching = [];
    private static Task? _loaded;
    private static int _lastId;

    /// <summary>Loads the module, once for the page.</summary>
    public static Task LoadAsync()
    {
        if (_loaded is null or { IsFaulted: true }) _loaded = ImportAsync();
        return _loaded;
    }

    public static (int Id, bool IsHidden) Add(BrowserSyncTriggers triggers)
    {
        Watching.Add(++_lastId, triggers);
        return (_lastId, Watch(_lastId));
    }

    public static void Remove(int id)
    {
        if (Watching.Remove(id)) Unwatch(id);
    }

    [JSImport("schedule", Module)]
    public static partial void Schedule(int id, double quiet_ms, double limit_ms);

    [JSImport("cancel", Module)]
    public static partial void Cancel(int id);

    [JSExport]
    internal static void OnIdle(int id) => Watching.GetValueOrDefault(id)?.OnIdle();

    [JSExport]
    internal static void OnLeft(int id) => Watching.GetValueOrDefault(id)?.OnLeft();

    [JSExport]
    internal static void OnVisibility(int id, bool isHidden) => Watching.GetValueOrDefault(id)?.OnVisibility(isHidden);

    [JSImport("init", Module)]
    private static partial Task InitAsync();

    [JSImport("watch", Module)]
    private static partial bool Watch(int id);

    [JSImport("unwatch", Module)]
    private static partial void Unwatch(int id);

    private static async Task ImportAsync()
    {
        await JSHost.ImportAsync(Module, "../_content/DataSync.Storage/sync.js").ConfigureAwait(false);
        await InitAsync().ConfigureAwait(false);
    }
}
