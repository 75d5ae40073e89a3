using DataSync.Coordination;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary>A database that two tabs of this process (or page) have open: one leads, the other follows.</summary>
public abstract class TwoTabsContract : IAsyncLifetime
{
    private readonly List<DataSyncFactory> _factories = [];

    protected string DatabaseName { get; } = $"two-{Guid.NewGuid():N}.db";

    protected DataSyncDatabase Leader { get; private set; } = null!;

    protected DataSyncDatabase Follower { get; private set; } = null!;

    /// <summary>Of one more tab over the same place.</summary>
    protected abstract Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options);

    public virtual async Task InitializeAsync()
    {
        Leader = await OpenAsync();
        await Leader.Coordinator.WaitForLeadershipAsync();
        Follower = await OpenAsync();
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

    /// <summary>Waits until a tab shows a commit.</summary>
    protected static async Task SeeAsync(DataSyncDatabase database, long marker)
    {
        var shown = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var subscription = database.Subscribe(commit =>
        {
            if (commit.Position.Marker >= marker) shown.TrySetResult();
            return Task.CompletedTask;
        });
        if (database.Marker < marker) await shown.Task;
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

    private async Task<DataSyncDatabase> OpenAsync()
    {
        var options = new DataSyncOptions();
        options.Pipeline.TurnDeadline = TimeSpan.FromSeconds(1);
        var factory = await NewFactoryAsync(options);
        _factories.Add(factory);
        return await factory.OpenAsync(DatabaseName);
    }
}
