using System.Globalization;
using System.Runtime.InteropServices.JavaScript;
using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// A journal in the browser's IndexedDB, in the database <c>datasync-outbox:{scope}</c>, for all tabs of that scope. Only in WebAssembly, on the page's one .NET thread. An entry is added with strict
/// durability. A connection that the browser closed is opened again by the next call.
/// </summary>
internal sealed class IndexedDbJournal(string scope) : IDeferredJournal
{
    private readonly string _name = "datasync-outbox:" + scope;

    public async ValueTask<IReadOnlyList<JournalEntry>> OpenAsync(CancellationToken cancellationToken)
    {
        await JournalInterop.LoadAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        var request = JournalInterop.Add();
        JournalInterop.Read(request.Number, _name);
        await request.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
        return request.Found;
    }

    public ValueTask AppendAsync(JournalEntry entry)
    {
        var request = JournalInterop.Add();
        JournalInterop.Append(request.Number, _name, entry.Queue.Value, entry.Number, entry.Body);
        return new(request.Task);
    }

    public ValueTask RemoveAsync(IReadOnlyList<JournalEntry> entries)
    {
        var request = JournalInterop.Add();
        var keys = string.Join(',', entries.Select(entry => string.Create(CultureInfo.InvariantCulture, $"[\"{entry.Queue.Value}\",{entry.Number}]")));
        JournalInterop.Remove(request.Number, _name, $"[{keys}]");
        return new(request.Task);
    }

    public ValueTask DisposeAsync()
    {
        JournalInterop.CloseIfLoaded(_name);
        return default;
    }
}

/// <summary>One step under way in <c>journal.js</c>.</summary>
internal sealed class JournalRequest(int number)
{
    // Default flags: whoever awaits goes on within the transaction's own event, with no detour through a timer.
    private readonly TaskCompletionSource _completion = new();

    public int Number => number;

    public Task Task => _completion.Task;

    public List<JournalEntry> Found { get; } = [];

    public void Complete() => _completion.TrySetResult();

    public void Fail(Exception error) => _completion.TrySetException(error);
}

/// <summary>The two halves of <c>journal.js</c>; answers come by request number, as in <see cref="IndexedDbInterop"/>.</summary>
internal static partial class JournalInterop
{
    private const string Module = "DataSync.Storage.Journal";

    private static readonly Dictionary<int, JournalRequest> Requests = [];
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

    public static void CloseIfLoaded(string name)
    {
        if (_loaded is { IsCompletedSuccessfully: true }) Close(name);
    }

    [JSImport("read", Module)]
    public static partial void Read(int request, string name);

    [JSImport("append", Module)]
    public static partial void Append(
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
    internal static void OnFailed(int request, string name, string message, bool isOpening)
    {
        if (!Requests.Remove(request, out var waiting)) return;
        waiting.Fail(isOpening ? IndexedDbErrors.OnOpen(IndexedDbOutcome.Failed, 0, name, message) : IndexedDbErrors.Make(IndexedDbOutcome.Failed, 0, name, message));
    }

    [JSImport("close", Module)]
    private static partial void Close(string name);

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
