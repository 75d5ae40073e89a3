using DataSync.Contracts;
using DataSync.Storage;

namespace DataSync.Vfs.Tests.Native;

// The contracts again, on databases of which next to nothing stays in memory: each commit is folded at once, and whatever nobody reads leaves.
// Without the suites that look at where statements run (in a leader's tab that has to load first they are refused) and at transactions that are begun by hand (they may
// have to be run again, which EF Core does).
public sealed class OnDemandDapper : DapperContract
{
    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        await OnDemand.PadAsync(Leader, Follower);
    }

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => OnDemand.NewFactoryAsync(options);
}

public sealed class OnDemandLive : LiveContract
{
    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        await OnDemand.PadAsync(Leader, Follower);
    }

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => OnDemand.NewFactoryAsync(options);
}

public sealed class OnDemandEntityFramework : EntityFrameworkContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => OnDemand.NewFactoryAsync(options);
}

public sealed class OnDemandRowChanges : RowChangesContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => OnDemand.NewFactoryAsync(options);
}

public sealed class OnDemandUndo : UndoContract
{
    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => OnDemand.NewFactoryAsync(options);
}

internal static class OnDemand
{
    public static Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options)
    {
        options.Residency = Residency.OnDemand(1);
        options.Pipeline.CheckpointLogRecords = 1;
        return NativeTabs.NewFactoryAsync(options);
    }

    /// <summary>Fills the beginning, which stays in memory, so that what the test makes is behind it.</summary>
    public static async Task PadAsync(DataSyncDatabase leader, DataSyncDatabase follower)
    {
        var padded = await leader.ExecuteAsync("CREATE TABLE padding(x); INSERT INTO padding VALUES (zeroblob(600000))");
        await NativeTabs.WaitForAsync(follower, padded.Marker);
    }
}
