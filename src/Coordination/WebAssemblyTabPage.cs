using System.Runtime.InteropServices.JavaScript;

namespace DataSync.Coordination;

/// <summary>
/// The page that .NET itself runs in. Answers come by number rather than by promise: no JSON, whose first use costs a tenth of
/// a second where .NET is interpreted, and the continuation runs within the event that it answers, not in a timer.
/// </summary>
internal sealed partial class WebAssemblyTabPage : ITabPage
{
    private const string Module = "DataSync.Coordination";

    private static readonly Dictionary<int, WebAssemblyTabPage> Pages = [];
    private static readonly Dictionary<int, TaskCompletionSource<string?>> Requests = [];
    private static Task? _loaded;
    private static int _lastNumber;

    private readonly int _number = ++_lastNumber;
    private Action<string, string?>? _receive;
    private bool _isClosed;

    public async ValueTask<bool> OpenAsync(TabSession session, Action<string, string?> receive, CancellationToken cancellationToken)
    {
        if (_loaded is null or { IsFaulted: true })
            _loaded = ImportAsync();
        await _loaded.WaitAsync(cancellationToken).ConfigureAwait(false);
        ObjectDisposedException.ThrowIf(_isClosed, this);
        _receive = receive;
        Pages[_number] = this;
        var answer = await AskAsync(
            request => Enter(_number, request, session.Scope, session.Self.Value, session.Heartbeat.TotalMilliseconds, session.Farewell), cancellationToken).ConfigureAwait(false);
        return string.Equals(answer, bool.TrueString, StringComparison.OrdinalIgnoreCase);
    }

    public ValueTask<string?> CallAsync(string method, CancellationToken cancellationToken, params string?[] arguments) => new(AskAsync(
        request => Call(_number, request, method, arguments.ElementAtOrDefault(0), arguments.ElementAtOrDefault(1), arguments.ElementAtOrDefault(2)), cancellationToken));

    public ValueTask DisposeAsync()
    {
        _isClosed = true;
        if (Pages.Remove(_number))
            Leave(_number);
        return ValueTask.CompletedTask;
    }

    [JSExport]
    internal static void OnSignal(int number, string kind, string? data)
    {
        if (Pages.TryGetValue(number, out var page))
            page._receive?.Invoke(kind, data);
    }

    [JSExport]
    internal static void OnAnswer(int request, string? answer)
    {
        if (Requests.Remove(request, out var done))
            done.TrySetResult(answer);
    }

    [JSExport]
    internal static void OnFailed(int request, string error)
    {
        if (Requests.Remove(request, out var done))
            done.TrySetException(new JSException(error));
    }

    [JSImport("init", Module)]
    private static partial Task InitAsync();

    [JSImport("enter", Module)]
    private static partial void Enter(int number, int request, string scope, string id, double heartbeatMs, string farewell);

    [JSImport("call", Module)]
    private static partial void Call(int number, int request, string method, string? first, string? second, string? third);

    [JSImport("leave", Module)]
    private static partial void Leave(int number);

    private static async Task ImportAsync()
    {
        // Relative to _framework/dotnet.runtime.js.
        await JSHost.ImportAsync(Module, "../_content/DataSync.Coordination/coordination.js").ConfigureAwait(false);
        await InitAsync().ConfigureAwait(false);
    }

    private static Task<string?> AskAsync(Action<int> ask, CancellationToken cancellationToken)
    {
        var request = ++_lastNumber;
        var done = new TaskCompletionSource<string?>();
        Requests.Add(request, done);
        ask(request);
        return cancellationToken.CanBeCanceled ? done.Task.WaitAsync(cancellationToken) : done.Task;
    }
}
