using System.Diagnostics;
using Microsoft.Playwright;

namespace DataSync.MultiTab.Browser;

/// <summary>Finds a Chromium, or installs one, and knows the switches that the tests start it with.</summary>
public static class Chromium
{
    private static readonly TimeSpan InstallLimit = TimeSpan.FromMinutes(10);

    private static readonly string[] UsualPlaces =
    [
        "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome-stable", "/usr/bin/google-chrome", "/snap/bin/chromium",
        "/opt/google/chrome/chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium", @"C:\Program Files\Google\Chrome\Application\chrome.exe",
        @"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
    ];

    /// <summary>
    /// Quiet, without sandbox (tests run as root in containers), and with as many renderer processes as there are tabs:
    /// on a small machine Chromium would put tabs of one site together, and killing one would kill its neighbour.
    /// </summary>
    public static readonly string[] Switches =
    [
        "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--renderer-process-limit=64",
    ];

    /// <summary>The path of the executable: DATASYNC_CHROMIUM, else Playwright's own, else an installed one, else a new one.</summary>
    public static async Task<string> FindOrInstallAsync(IPlaywright playwright)
    {
        if (Environment.GetEnvironmentVariable("DATASYNC_CHROMIUM") is { Length: > 0 } chosen)
        {
            return File.Exists(chosen) ? chosen : throw new FileNotFoundException("DATASYNC_CHROMIUM names a file that is not there.", chosen);
        }

        if (Find(playwright) is { } found)
        {
            return found;
        }

        var report = await InstallAsync();
        return Find(playwright) ?? throw new FileNotFoundException(
            "The tests need Chromium and could not install it. Install it (Debian and Ubuntu: apt-get install chromium) " +
            $"or set DATASYNC_CHROMIUM to the path of a Chromium or Chrome executable.\n{report}");
    }

    private static string? Find(IPlaywright playwright) => UsualPlaces.Prepend(playwright.Chromium.ExecutablePath).FirstOrDefault(File.Exists);

    private static async Task<string> InstallAsync()
    {
        var isDebianRoot = OperatingSystem.IsLinux() && Environment.UserName == "root" && File.Exists("/usr/bin/apt-get");
        if (isDebianRoot)
        {
            var report = await RunAsync("/bin/sh", "-c", "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium");
            if (File.Exists("/usr/bin/chromium"))
            {
                return report;
            }
        }

        var exitCode = await Task.Run(() => Microsoft.Playwright.Program.Main(["install", "chromium"])).WaitAsync(InstallLimit);
        return $"'playwright install chromium' ended with exit code {exitCode}.";
    }

    private static async Task<string> RunAsync(string file, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(file, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true })!;
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        try
        {
            await process.WaitForExitAsync().WaitAsync(InstallLimit);
        }
        catch (TimeoutException)
        {
            process.Kill(entireProcessTree: true);
            throw;
        }

        return await output + await errors;
    }
}
