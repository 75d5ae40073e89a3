using Spectre.Console;

namespace DataSync.Cli;

internal static class DeleteCommand
{
    /// <summary>Opens nothing, so that a store that cannot be opened goes as well.</summary>
    public static async Task<int> RunAsync(StorePlace place, Report report, CancellationToken cancellationToken)
    {
        await using (place.ConfigureAwait(false))
        {
            await StoreSession.EnsureExistsAsync(place, cancellationToken).ConfigureAwait(false);
            await place.Store.DeleteAsync(cancellationToken).ConfigureAwait(false);
        }

        report.Write(new(place.Description), ResultJson.Default.DeleteResult, console => console.Write(new Text($"Deleted: {place.Description}.\n")));
        return ExitCode.Ok;
    }
}
