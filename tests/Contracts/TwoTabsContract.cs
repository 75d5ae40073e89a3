using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary>A database that two tabs of this process (or page) have open: one leads, the other follows.</summary>
/// <remarks>
/// Each contract also holds where next to nothing stays in memory (<see cref="IsOnDemand"/>): what a test makes lies in many extents, each commit is folded at once, and whenever
/// nobody reads, and wherever the test waits for a tab to see something, all but the first extent leaves.
/// </remarks>
public abstract class TwoTabsContract : IAsyncLifetime
{
    /// <summary>Set to 1, all that is not told otherwise is on demand: so the lab runs its suites a second time.</summary>
    public const string OnDemandVariable = "DATASYNC_ON_DEMAND";

    private readonly List<DataSyncFactory> _factories = [];

    /// <summary>A transaction on a machine that has much else to do may take seconds; taken away, its commit fails, as it should.</summary>
    private TimeSpan _turnDeadline = TimeSpan.FromSeconds(20);

    protected string DatabaseName { get; } = $"two-{Guid.NewGuid():N}.db";

    protected DataSyncDatabase Leader { get; private set; } = null!;

    protected DataSyncDatabase Follower { get; private set; } = null!;

    /// <summary>Whether next to nothing stays in memory.</summary>
    protected virtual bool IsOnDemand => Environment.GetEnvironmentVariable(OnDemandVariable) == "1";

    /// <summary>Whether the table that spreads the others over many extents is not to be seen. Its pages are nobody's then, which <c>PRAGMA integrity_check</c> tells.</summary>
    protected virtual bool IsPaddingHidden => false;

    /// <summary>Of one more tab over the same place.</summary>
    protected abstract Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options);

    public virtual async Task InitializeAsync()
    {
        await OpenBothAsync();
        if (IsOnDemand) await SpreadAsync();
    }

    public virtual async Task DisposeAsync()
    {
        await Follower.DisposeAsync();
        await _factories[0].DeleteAsync(DatabaseName);
        foreach (var factory in _factories) await factory.DisposeAsync();
    }

    protected (DataSyncDatabase Here, DataSyncDatabase There) Roles(bool inLeader) => inLeader ? (Leader, Follower) : (Follower, Leader);

    protected DataSyncFactory FactoryOf(DataSyncDatabase database) => _factories[database == Leader ? 0 : 1];

    protected static async Task<DataSyncConnection> ConnectAsync(DataSyncDatabase database)
    {
        var connection = database.CreateConnection();
        await connection.OpenAsync();
        return connection;
    }

    /// <summary>Another tab's factory, as this contract's are.</summary>
    protected Task<DataSyncFactory> OpenFactoryAsync(DataSyncOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return NewFactoryAsync(IsOnDemand ? OnDemandDatabases.With(options) : options);
    }

    /// <summary>All that can leave memory leaves it, where next to nothing is to stay.</summary>
    protected Task EvictAsync(DataSyncDatabase database) => IsOnDemand ? database.EvictAsync() : Task.CompletedTask;

    /// <summary>What documentation asks for, where next to nothing stays in memory, before synchronous calls, and before transactions begun by hand that are not run again.</summary>
    protected Task LoadAsync(DataSyncDatabase database) => IsOnDemand ? database.LoadAsync() : Task.CompletedTask;

    /// <summary>Waits until a tab shows a commit.</summary>
    protected async Task SeeAsync(DataSyncDatabase database, long marker)
    {
        var shown = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var subscription = database.Subscribe(commit =>
        {
            if (commit.Position.Marker >= marker) shown.TrySetResult();
            return Task.CompletedTask;
        });
        if (database.Marker < marker) await shown.Task;
        foreach (var tab in new[] { Leader, Follower, database }.Distinct()) await EvictAsync(tab);
    }

    /// <summary>Parameters are $0, $1, and so on.</summary>
    protected static SqliteCommand Command(DataSyncConnection connection, string sql, params object[] values) => connection.Command(sql, values);

    protected static async Task<int> ExecuteAsync(DataSyncConnection connection, string sql, params object[] values)
    {
        await using var command = Command(connection, sql, values);
        return await command.ExecuteNonQueryAsync();
    }

    protected static async Task<object?> ScalarAsync(DataSyncConnection connection, string sql, params object[] values)
    {
        await using var command = Command(connection, sql, values);
        return await command.ExecuteScalarAsync();
    }

    /// <summary>Closes both tabs and opens them anew, with a write turn that is taken from who holds it for longer than a moment.</summary>
    protected async Task ReopenWithShortTurnsAsync()
    {
        await Follower.DisposeAsync();
        await Leader.DisposeAsync();
        foreach (var factory in _factories) await factory.DisposeAsync();
        _factories.Clear();
        _turnDeadline = TimeSpan.FromSeconds(1);
        await OpenBothAsync();
    }

    private async Task OpenBothAsync()
    {
        Leader = await OpenAsync();
        await Leader.Coordinator.WaitForLeadershipAsync();
        Follower = await OpenAsync();
    }

    private async Task<DataSyncDatabase> OpenAsync()
    {
        var options = new DataSyncOptions();
        options.Pipeline.TurnDeadline = _turnDeadline;
        var factory = await OpenFactoryAsync(options);
        _factories.Add(factory);
        return await factory.OpenAsync(DatabaseName);
    }

    private async Task SpreadAsync()
    {
        await OnDemandDatabases.SpreadAsync(Leader, IsPaddingHidden);
        await SeeAsync(Follower, Leader.Marker);
        foreach (var tab in new[] { Leader, Follower }) Assert.Equal(Extent.MaxRecordSize, tab.ResidentBytes);
    }
}
