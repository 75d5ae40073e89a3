using DataSync.Contracts;

namespace DataSync.Vfs.Tests.Native;

// The contracts of connections, on a directory.
public sealed class NativeConnections : ConnectionContract
{
    private readonly string _folder = Directory.CreateTempSubdirectory("datasync-").FullName;

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => Task.FromResult(NativeTabs.NewFactory(_folder, options));
}

public sealed class NativeDapper : DapperContract
{
    private readonly string _folder = Directory.CreateTempSubdirectory("datasync-").FullName;

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => Task.FromResult(NativeTabs.NewFactory(_folder, options));
}

public sealed class NativeEntityFramework : EntityFrameworkContract
{
    private readonly string _folder = Directory.CreateTempSubdirectory("datasync-").FullName;

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    protected override Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions options) => Task.FromResult(NativeTabs.NewFactory(_folder, options));
}
