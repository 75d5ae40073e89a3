using System.Runtime.InteropServices.JavaScript;

namespace DataSync.Storage;

/// <summary>How a step of <c>storage.js</c> ended; the same numbers as there.</summary>
internal enum IndexedDbOutcome
{
    Fenced = 1,
    Replaced = 2,
    Conflict = 3,
    Failed = 4,
}

/// <summary>
/// The two halves of <c>storage.js</c>: what .NET calls, and what the module calls back. Answers come by request number
/// rather than by promise: a call costs less than a microsecond, and the continuation runs within the event that it answers.
/// </summary>
internal static partial class IndexedDbInterop
{
    private const string Module = "DataSync.Storage";

    private static readonly Dictionary<int, IndexedDbRequest> Requests = [];
    private static readonly Dictionary<int, IndexedDbBlockStore> Connections = [];
    private static Task? _loaded;
    private static int _lastNumber;

    /// <summary>Loads the module, once for the page.</summary>
    public static Task LoadAsync()
    {
        if (_loaded is null or { IsFaulted: true }) _loaded = ImportAsync();
        return _loaded;
    }

    public static int AddConnection(IndexedDbBlockStore store)
    {
        Connections.Add(++_lastNumber, store);
        return _lastNumber;
    }

    public static void RemoveConnection(int connection) => Connections.Remove(connection);

    public static IndexedDbRequest AddRequest(IndexedDbRequest request)
    {
        request.Number = ++_lastNumber;
        Requests.Add(request.Number, request);
        return request;
    }

    /// <summary>Nobody waits for it any more.</summary>
    public static void Forget(IndexedDbRequest request) => Requests.Remove(request.Number);

    [JSImport("open", Module)]
    public static partial void Open(int request, int connection, string name, bool strict);

    [JSImport("close", Module)]
    public static partial void Close(int connection);

    [JSImport("remove", Module)]
    public static partial void Remove(int request, string name);

    [JSImport("updateHead", Module)]
    public static partial void UpdateHead(int connection, int request, bool strict);

    [JSImport("beginAppend", Module)]
    public static partial void BeginAppend(
        int connection, int request, string incarnation, [JSMarshalAs<JSType.Number>] long epoch, [JSMarshalAs<JSType.Number>] long marker,
        int count, bool strict);

    [JSImport("add", Module)]
    public static partial void Add(string id, [JSMarshalAs<JSType.MemoryView>] Span<byte> bytes);

    [JSImport("beginCheckpoint", Module)]
    public static partial void BeginCheckpoint(
        int connection, int request, string incarnation, [JSMarshalAs<JSType.Number>] long epoch, [JSMarshalAs<JSType.Number>] long marker,
        string head, [JSMarshalAs<JSType.Number>] long dropFrom, bool keep, bool strict);

    [JSImport("putExtent", Module)]
    public static partial void PutExtent(int index, [JSMarshalAs<JSType.MemoryView>] Span<byte> bytes, bool keep);

    [JSImport("beginAdopt", Module)]
    public static partial void BeginAdopt(
        int connection, int request, string incarnation, [JSMarshalAs<JSType.Number>] long checkpoint, [JSMarshalAs<JSType.Number>] long end, string head, bool replaces, bool strict);

    [JSImport("putLog", Module)]
    public static partial void PutLog(
        [JSMarshalAs<JSType.Number>] long marker, string id, [JSMarshalAs<JSType.Number>] long epoch, [JSMarshalAs<JSType.MemoryView>] Span<byte> bytes);

    [JSImport("read", Module)]
    public static partial void Read(
        int connection, int request, bool includeExtents, [JSMarshalAs<JSType.Array<JSType.Number>>] int[]? only, bool listExtents,
        [JSMarshalAs<JSType.Number>] long afterMarker);

    [JSImport("estimate", Module)]
    public static partial Task<JSObject> EstimateAsync();

    [JSImport("persist", Module)]
    public static partial Task<bool> PersistAsync();

    [JSExport]
    internal static bool IsWaiting(int request) => Requests.ContainsKey(request);

    [JSExport]
    internal static void OnDone(int request)
    {
        if (Requests.Remove(request, out var waiting)) waiting.Complete();
    }

    [JSExport]
    internal static void OnBlocked(int request)
    {
        if (Requests.TryGetValue(request, out var waiting)) waiting.IsBlocked = true;
    }

    [JSExport]
    internal static void OnFailed(int request, int outcome, [JSMarshalAs<JSType.Number>] long number, string name, string message)
    {
        if (Requests.Remove(request, out var waiting)) waiting.Fail((IndexedDbOutcome)outcome, number, name, message);
    }

    [JSExport]
    internal static string? OnHead(int request, string? text, string? copy, int extents, int logRecords) =>
        Requests.TryGetValue(request, out var waiting) ? waiting.OnHead(text, copy, extents, logRecords) : null;

    [JSExport]
    internal static bool OnExtentList(int request, [JSMarshalAs<JSType.Array<JSType.Number>>] int[] indices) =>
        Requests.TryGetValue(request, out var waiting) && waiting.OnExtentList(indices);

    [JSExport]
    internal static bool OnExtent(int request, int index, int length) =>
        Requests.TryGetValue(request, out var waiting) && waiting.OnExtent(index, length);

    [JSExport]
    internal static bool OnLog(int request, [JSMarshalAs<JSType.Number>] long marker, int length) =>
        Requests.TryGetValue(request, out var waiting) && waiting.OnLog(marker, length);

    [JSExport]
    internal static void OnClosed(int connection, int reason)
    {
        if (Connections.TryGetValue(connection, out var store)) store.OnClosed((StoreClosedReason)reason);
    }

    [JSImport("take", Module)]
    internal static partial void Take([JSMarshalAs<JSType.MemoryView>] Span<byte> target);

    [JSImport("init", Module)]
    private static partial Task InitAsync();

    private static async Task ImportAsync()
    {
        // The page may lie anywhere; static web assets lie beside _framework, where the runtime's own script is.
        try
        {
            await JSHost.ImportAsync(Module, "../_content/DataSync.Storage/storage.js").ConfigureAwait(false);
            await InitAsync().ConfigureAwait(false);
        }
        catch (JSException error)
        {
            throw new StorageUnavailableException("The script _content/DataSync.Storage/storage.js did not load. Reload the page.", error);
        }
    }
}
