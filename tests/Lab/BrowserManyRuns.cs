using DataSync.Contracts;
using DataSync.Vfs;

namespace DataSync.Lab;

/// <summary>In the browser runs are gathered and made in one call.</summary>
public sealed class BrowserManyRuns : ManyRunsContract
{
    private readonly string _name = $"runs-{Guid.NewGuid():N}.db";
    private DataSyncFactory _factory = null!;

    protected override async Task<DataSyncDatabase> OpenAsync()
    {
        _factory = await LabPage.NewFactoryAsync();
        return await _factory.OpenAsync(_name);
    }

    protected override Task CloseAsync() => _factory.DeleteAsync(_name);
}
