using Microsoft.JSInterop;

namespace DataSync.Coordination.Tests;

/// <summary>Where there is no page: while a server prerenders, before a native app's page is there, after a circuit has closed.</summary>
public sealed class MissingPageTests
{
    private const int LeaseUnavailable = 1004;

    private readonly Scripts _scripts = new();
    private readonly VirtualClock _time = new();
    private readonly ListLogger _logger = new();

    public static TheoryData<Exception> Missing => new(
        new InvalidOperationException("JavaScript interop calls cannot be issued at this time. This is because the component is being statically rendered."),
        new JSDisconnectedException("JavaScript interop calls cannot be issued at this time. This is because the circuit has disconnected."),
        new TaskCanceledException());

    [Theory]
    [MemberData(nameof(Missing))]
    public async Task Joining_without_a_page_says_what_to_do_and_can_be_tried_again(Exception missing)
    {
        await using var tab = NewCoordinator();
        _scripts.Failure = missing;
        var error = await Assert.ThrowsAsync<CoordinationException>(() => tab.JoinAsync());
        Assert.Same(missing, error.InnerException);
        Assert.Contains("OnAfterRenderAsync", error.Message, StringComparison.Ordinal);
        Assert.Contains("prerender: false", error.Message, StringComparison.Ordinal);
        _scripts.Failure = null;
        await tab.JoinAsync();
        Assert.Equal([tab.Id], tab.Members);
    }

    [Theory]
    [MemberData(nameof(Missing))]
    public async Task A_page_that_goes_is_no_warning(Exception missing)
    {
        var tab = NewCoordinator();
        await tab.JoinAsync();
        await tab.WaitForLeadershipAsync();
        _scripts.Failure = missing;
        _scripts.Calls.Clear();
        await CloseAsync(tab);
        Assert.Contains("compareAndSet", _scripts.Calls);
        Assert.DoesNotContain(LeaseUnavailable, _logger.Ids);
    }

    [Theory]
    [MemberData(nameof(Missing))]
    public async Task Whoever_waits_when_the_page_goes_is_told_that(Exception missing)
    {
        (_scripts.Failure, _scripts.FailingCall) = (missing, "compareAndSet");
        var tab = NewCoordinator();
        await tab.JoinAsync();
        var waiting = tab.WaitForLeadershipAsync();
        for (var i = 0; i < 30 && !waiting.IsCompleted; i++) _time.Advance(TimeSpan.FromSeconds(1));
        var error = await Assert.ThrowsAsync<CoordinationException>(() => waiting);
        Assert.Same(missing, error.InnerException);
        Assert.DoesNotContain(LeaseUnavailable, _logger.Ids);
        await CloseAsync(tab);
    }

    [Fact]
    public async Task A_callers_own_cancellation_stays_one()
    {
        await using var tab = NewCoordinator();
        using var cancellation = new CancellationTokenSource();
        await cancellation.CancelAsync();
        _scripts.Failure = new OperationCanceledException(cancellation.Token);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => tab.JoinAsync(cancellation.Token));
    }

    private async Task CloseAsync(TabCoordinator tab)
    {
        var closing = tab.DisposeAsync().AsTask();
        _time.Advance(TimeSpan.FromSeconds(10));
        await closing;
    }

    private TabCoordinator NewCoordinator() => new(new BrowserTabPlatform(_scripts, timeProvider: _time), null, _time, _logger);

    /// <summary>A page in which this tab is alone; or one that fails every call.</summary>
    private sealed class Scripts : IJSRuntime
    {
        private string? _lease;
        private string _self = "";

        public Exception? Failure { get; set; }

        /// <summary>The only call that fails; null: all of them.</summary>
        public string? FailingCall { get; set; }

        public List<string> Calls { get; } = [];

        public ValueTask<TValue> InvokeAsync<TValue>(string identifier, object?[]? args) => InvokeAsync<TValue>(identifier, default, args);

        public ValueTask<TValue> InvokeAsync<TValue>(string identifier, CancellationToken cancellationToken, object?[]? args)
        {
            Calls.Add(identifier);
            if (Failure is not null && (FailingCall ?? identifier) == identifier) return ValueTask.FromException<TValue>(Failure);
            if (identifier == "open") _self = (string)args![2]!;
            object? answer = identifier switch
            {
                "import" or "open" => new Reference(this),
                "hasLocks" => true,
                "tabs" => _self,
                "read" => _lease,
                "compareAndSet" => _lease = (string)args![1]!,
                _ => null,
            };
            return ValueTask.FromResult((TValue)answer!);
        }

        /// <summary>The module, and the tab in it.</summary>
        private sealed class Reference(Scripts scripts) : IJSObjectReference
        {
            public ValueTask<TValue> InvokeAsync<TValue>(string identifier, object?[]? args) => scripts.InvokeAsync<TValue>(identifier, args);

            public ValueTask<TValue> InvokeAsync<TValue>(string identifier, CancellationToken cancellationToken, object?[]? args) =>
                scripts.InvokeAsync<TValue>(identifier, cancellationToken, args);

            public ValueTask DisposeAsync() => ValueTask.CompletedTask;
        }
    }
}
