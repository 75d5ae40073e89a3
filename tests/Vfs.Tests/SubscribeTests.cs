using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Extensions.Logging;
using Xunit;

namespace DataSync.Vfs.Tests;

/// <summary>Asynchronous handlers of commits.</summary>
[Collection(Native.VfsLoggerCollection.Name)]
public sealed class SubscribeTests : IAsyncLifetime, IDisposable
{
    private static int count;
    private readonly InMemoryBrowser _browser = new();
    private readonly ErrorLog _log = new();
    private DataSyncDatabase _database = null!;

    public async Task InitializeAsync()
    {
        await NativeSqlite.RegisterAsync();
        var name = $"subscribe-{Interlocked.Increment(ref count)}.db";
        _database = await DataSyncDatabase.OpenAsync(
            name, new MemoryBlockStore(), new InMemoryCommitBus().CreateChannel(), new TabCoordinator(_browser.OpenTab()), logger: _log);
        await WriteAsync("CREATE TABLE t(v)");
    }

    public async Task DisposeAsync() => await _database.DisposeAsync();

    public void Dispose() => _browser.Dispose();

    [Fact]
    public async Task Each_commit_is_delivered_in_order_and_after_the_call_before()
    {
        var calls = new Calls();
        using var subscription = _database.Subscribe(calls.RunAsync);
        var markers = new List<long> { await WriteAsync(), await WriteAsync(), await WriteAsync() };
        Assert.Equal(markers[..1], calls.Markers);
        calls.End(0);
        Assert.Equal(markers[..2], calls.Markers);
        calls.End(1);
        calls.End(2);
        markers.Add(await WriteAsync());
        Assert.Equal(markers, calls.Markers);
    }

    [Fact]
    public async Task What_a_handler_throws_is_logged_and_the_next_commit_is_delivered()
    {
        var calls = new Calls();
        using var subscription = _database.Subscribe(calls.RunAsync);
        using var throwing = _database.Subscribe(_ => throw new InvalidOperationException("at once"));
        await WriteAsync();
        calls.Fail(0, new InvalidOperationException("later"));
        await WriteAsync();
        Assert.Equal(2, calls.Markers.Count);
        Assert.Equal(["at once", "later", "at once"], _log.Of(3010));
    }

    [Fact]
    public async Task No_call_begins_after_its_disposal()
    {
        var calls = new Calls();
        var subscription = _database.Subscribe(calls.RunAsync);
        await WriteAsync();
        await WriteAsync();
        subscription.Dispose();
        subscription.Dispose();
        calls.End(0);
        await WriteAsync();
        Assert.Single(calls.Markers);
    }

    [Fact]
    public async Task A_handler_may_end_its_own_subscription()
    {
        var called = 0;
        IDisposable subscription = null!;
        subscription = _database.Subscribe(_ =>
        {
            called++;
            subscription.Dispose();
            return Task.CompletedTask;
        });
        await WriteAsync();
        await WriteAsync();
        Assert.Equal(1, called);
        Assert.Empty(_log.Of(3010));
    }

    [Fact]
    public async Task A_handler_may_write_and_hears_of_that_as_well()
    {
        var done = new TaskCompletionSource();
        var running = 0;
        using var subscription = _database.Subscribe(async e =>
        {
            Assert.Equal(1, Interlocked.Increment(ref running));
            if (e.Position.Marker < 5) await WriteAsync();
            else done.SetResult();
            Interlocked.Decrement(ref running);
        });
        await WriteAsync();
        await done.Task.WaitAsync(Native.NativeTabs.Patience);
        Assert.Empty(_log.Of(3010));
    }

    [Fact]
    public async Task Nothing_is_delivered_after_the_database_is_closed()
    {
        var calls = new Calls();
        using var subscription = _database.Subscribe(calls.RunAsync);
        await WriteAsync();
        await WriteAsync();
        await _database.DisposeAsync();
        calls.End(0);
        Assert.Single(calls.Markers);
        Assert.Throws<ObjectDisposedException>(() => _database.Subscribe(calls.RunAsync));
    }

    /// <summary>Writes, and returns when all handlers so far have been called.</summary>
    private async Task<long> WriteAsync(string sql = "INSERT INTO t VALUES (1)")
    {
        using var raised = new SemaphoreSlim(0);
        long last = 0;
        _database.Committed += OnCommitted;
        var marker = (await _database.ExecuteAsync(sql)).Marker;
        while (Volatile.Read(ref last) < marker) Assert.True(await raised.WaitAsync(Native.NativeTabs.Patience));
        _database.Committed -= OnCommitted;
        return marker;

        void OnCommitted(object? sender, CommittedEventArgs e)
        {
            Volatile.Write(ref last, e.Position.Marker);
            raised.Release();
        }
    }

    /// <summary>Calls of a handler that end when the test says so.</summary>
    private sealed class Calls
    {
        private readonly List<TaskCompletionSource> _ends = [];

        public List<long> Markers { get; } = [];

        public Task RunAsync(CommittedEventArgs e)
        {
            Markers.Add(e.Position.Marker);
            _ends.Add(new());
            return _ends[^1].Task;
        }

        public void End(int call) => _ends[call].SetResult();

        public void Fail(int call, Exception error) => _ends[call].SetException(error);
    }

    private sealed class ErrorLog : ILogger
    {
        private readonly List<(int Id, string? Error)> _lines = [];

        public IEnumerable<string?> Of(int id)
        {
            lock (_lines) return [.. _lines.Where(line => line.Id == id).Select(line => line.Error)];
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (_lines) _lines.Add((eventId.Id, exception?.Message));
        }
    }
}
