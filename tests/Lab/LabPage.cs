using DataSync.Vfs;
using Microsoft.JSInterop;

namespace DataSync.Lab;

/// <summary>What the suites need of the page.</summary>
internal static class LabPage
{
    /// <summary>Set when .NET has started.</summary>
    public static TaskCompletionSource<IJSRuntime> Runtime { get; } = new();

    /// <summary>Opens databases as an app does.</summary>
    public static async Task<DataSyncFactory> NewFactoryAsync(DataSyncOptions? options = null) => new(await Runtime.Task, options);
}
