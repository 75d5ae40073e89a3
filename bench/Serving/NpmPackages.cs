using System.Diagnostics;

namespace DataSync.Bench;

/// <summary>Installs the libraries from package-lock.json at the first run: the solution's build does without them.</summary>
internal static class NpmPackages
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(6);

    public static async Task InstallAsync()
    {
        var start = new ProcessStartInfo("node", [Path.Combine(BenchHost.Repository, "build", "npm-install.mjs"), BenchHost.Folder]) { RedirectStandardError = true };
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        try
        {
            await process.WaitForExitAsync().WaitAsync(Limit);
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }

        if (process.ExitCode != 0) throw new InvalidOperationException(await errors);
    }
}
