using DataSync.Storage;
using Spectre.Console;

namespace DataSync.Cli;

internal static class DeleteCommand
{
    /// <summary>Opens nothing, so that a store that cannot be opened goes as well.</summary>
    public static async Task<int> RunAsync(string place, Report report, CancellationToken cancellationToken)
    {
        var store = StoreSession.Find(place, creates: false);
        await using (store.ConfigureAwait(false)) await store.DeleteAsync(cancellationToken).ConfigureAwait(false);
        report.Write(new(store.Directory), ResultJson.Default.DeleteResult, console => console.Write(new Text($"Deleted: {store.Directory}.\n")));
        return ExitCode.Ok;
    }
}
