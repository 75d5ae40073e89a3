using System.Runtime.InteropServices.JavaScript;

namespace DataSync.Storage;

/// <summary>The two halves of <c>channel.js</c>.</summary>
internal static partial class BroadcastInterop
{
    private const string Module = "DataSync.Storage.Channel";

    private static readonly Dictionary<int, BroadcastCommitChannel> Channels = [];
    private static Task? _loaded;
    private static int _lastId;

    /// <summary>Loads the module, once for the page.</summary>
    public static Task LoadAsync()
    {
        if (_loaded is null or { IsFaulted: true }) _loaded = ImportAsync();
        return _loaded;
    }

    public static int Add(BroadcastCommitChannel channel, string name, string self)
    {
        Channels.Add(++_lastId, channel);
        Open(_lastId, name, self);
        return _lastId;
    }

    public static void Remove(int id)
    {
        if (Channels.Remove(id)) Close(id);
    }

    [JSImport("post", Module)]
    public static partial void Post(int id, [JSMarshalAs<JSType.MemoryView>] Span<byte> message, string? to);

    [JSExport]
    internal static void OnMessage(int id, [JSMarshalAs<JSType.Array<JSType.Number>>] byte[] message)
    {
        if (Channels.TryGetValue(id, out var channel)) channel.OnMessage(message);
    }

    [JSImport("init", Module)]
    private static partial Task InitAsync();

    [JSImport("open", Module)]
    private static partial void Open(int id, string name, string self);

    [JSImport("close", Module)]
    private static partial void Close(int id);

    private static async Task ImportAsync()
    {
        await JSHost.ImportAsync(Module, "../_content/DataSync.Storage/channel.js").ConfigureAwait(false);
        await InitAsync().ConfigureAwait(false);
    }
}
