using System.Runtime.InteropServices.JavaScript;
using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>One step under way in <c>journal.js</c>.</summary>
internal sealed class JournalRequest(int number)
{
    // Default flags: whoever awaits goes on within the transaction's own event, with no detour through a timer.
    private readonly TaskCompletionSource _completion = new();

    public int Number => number;

    public Task Task => _completion.Task;

    public List<JournalEntry> Found { get; } = [];

    /// <summary>Of the locks that are held.</summary>
    public string[] Names { get; set; } = [];

    /// <summary>Whether the lock was given.</summary>
    public bool IsHeld { get; set; }

    public void Complete() => _completion.TrySetResult();

    public void Fail(Exception error) => _completion.TrySetException(error);
}

/// <summary>The two halves of <c>journal.js</c>; answers come by request number, as in <see cref="IndexedDbInterop"/>.</summary>
internal static partial class JournalInterop
{
    private const string Module = "DataSync.Storage.Journal";

    private static readonly Dictionary<int, JournalRequest> Requests = [];
    private static readonly Dictionary<int, Action<TabId>> Listeners = [];
    private static Task? _loaded;
    private static int _lastNumber;

    /// <summary>Loads the module, once for the page.</summary>
    public static Task LoadAsync()
    {
        if (_loaded is null or { IsFaulted: true }) _loaded = ImportAsync();
        return _loaded;
    }

    public static JournalRequest Add()
    {
        var request = new JournalRequest(++_lastNumber);
        Requests.Add(request.Number, request);
        return request;
    }

    /// <summary>Hears of tabs that are opened.</summary>
    /// <returns>The channel's number.</returns>
    public static int Listen(string name, Action<TabId> opened)
    {
        Listeners.Add(++_lastNumber, opened);
        Listen(_lastNumber, name);
        return _lastNumber;
    }

    /// <summary>Closes the connection, and a channel unless its number is 0.</summary>
    public static void CloseIfLoaded(string name, int channel)
    {
        if (_loaded is not { IsCompletedSuccessfully: true }) return;
        Listeners.Remove(channel);
        Close(name, channel);
    }

    [JSImport("hasLocks", Module)]
    public static partial bool HasLocks();

    [JSImport("hold", Module)]
    public static partial void Hold(int request, string name, bool waits);

    [JSImport("letGo", Module)]
    public static partial void LetGo(int request);

    [JSImport("findHeld", Module)]
    public static partial void FindHeld(int request, string prefix);

    [JSImport("announce", Module)]
    public static partial void Announce(string name, string queue);

    [JSImport("read", Module)]
    public static partial void Read(int request, string name);

    [JSImport("append", Module)]
    public static partial void Append(
        int request, string name, string queue, [JSMarshalAs<JSType.Number>] long number, [JSMarshalAs<JSType.MemoryView>] Span<byte> bytes);

    [JSImport("replace", Module)]
    public static partial void Replace(
        int request, string name, string queue, [JSMarshalAs<JSType.Number>] long number, [JSMarshalAs<JSType.MemoryView>] Span<byte> bytes);

    [JSImport("remove", Module)]
    public static partial void Remove(int request, string name, string keys);

    [JSExport]
    internal static void OnEntry(int request, string queue, [JSMarshalAs<JSType.Number>] long number, int length)
    {
        if (!Requests.TryGetValue(request, out var waiting) || !TabId.TryParse(queue, out var tab)) return;
        var body = GC.AllocateUninitializedArray<byte>(length);
        if (length > 0) Take(body);
        waiting.Found.Add(new(tab, number, body));
    }

    [JSExport]
    internal static void OnDone(int request)
    {
        if (Requests.Remove(request, out var waiting)) waiting.Complete();
    }

    [JSExport]
    internal static void OnHeld(int request, bool isHeld)
    {
        if (!Requests.Remove(request, out var waiting)) return;
        waiting.IsHeld = isHeld;
        waiting.Complete();
    }

    [JSExport]
    internal static void OnFound(int request, string names)
    {
        if (!Requests.Remove(request, out var waiting)) return;
        waiting.Names = names.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        waiting.Complete();
    }

    [JSExport]
    internal static void OnOpened(int channel, string queue)
    {
        if (TabId.TryParse(queue, out var tab) && Listeners.TryGetValue(channel, out var opened)) opened(tab);
    }

    [JSExport]
    internal static void OnFailed(int request, string name, string message, bool isOpening)
    {
        if (!Requests.Remove(request, out var waiting)) return;
        waiting.Fail(isOpening ? IndexedDbErrors.OnOpen(IndexedDbOutcome.Failed, 0, name, message) : IndexedDbErrors.Make(IndexedDbOutcome.Failed, 0, name, message));
    }

    [JSImport("listen", Module)]
    private static partial void Listen(int channel, string name);

    [JSImport("close", Module)]
    private static partial void Close(string name, int channel);

    [JSImport("take", Module)]
    private static partial void Take([JSMarshalAs<JSType.MemoryView>] Span<byte> target);

    [JSImport("init", Module)]
    private static partial Task InitAsync();

    private static async Task ImportAsync()
    {
        try
        {
            await JSHost.ImportAsync(Module, "../_content/DataSync.Storage/journal.js").ConfigureAwait(false);
            await InitAsync().ConfigureAwait(false);
        }
        catch (JSException error)
        {
            throw new StorageUnavailableException("The script _content/DataSync.Storage/journal.js did not load. Reload the page.", error);
        }
    }
}
