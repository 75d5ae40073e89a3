using System.Diagnostics;
using Microsoft.Playwright;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Browser;

/// <summary>A browser with a profile on disk, so that it can be killed and started again with the same data.</summary>
public sealed class PersistentBrowser : IAsyncDisposable
{
    private readonly BrowserFixture fixture;
    private readonly ITestOutputHelper output;
    private readonly string profile;
    private TabGroup? running;

    internal PersistentBrowser(BrowserFixture fixture, ITestOutputHelper output, string? folder)
    {
        this.fixture = fixture;
        this.output = output;
        profile = folder is null ? Directory.CreateTempSubdirectory("datasync-profile-").FullName : Directory.CreateDirectory(Path.Combine(folder, "profile")).FullName;
    }

    /// <summary>Starts the browser on the profile; the one before must have ended.</summary>
    public async Task<TabGroup> StartAsync()
    {
        var context = await fixture.Playwright.Chromium.LaunchPersistentContextAsync(
            profile, new() { ExecutablePath = fixture.ChromiumPath, Args = BrowserFixture.Switches, Headless = true, ServiceWorkers = ServiceWorkerPolicy.Block, ReducedMotion = ReducedMotion.Reduce });
        running = new TabGroup(context, fixture.Url, output);
        return running;
    }

    /// <summary>Kills all processes of the browser at once, as a power cut does to programs (SIGKILL).</summary>
    public static async Task KillAsync(TabGroup tabs)
    {
        var closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        tabs.Context.Close += (_, _) => closed.TrySetResult();
        var session = await tabs.Context.Browser!.NewBrowserCDPSessionAsync();
        var info = await session.SendAsync("SystemInfo.getProcessInfo");
        // The browser process first: it would otherwise notice its children's end and act on it.
        var ids = info!.Value.GetProperty("processInfo").EnumerateArray()
            .OrderByDescending(process => process.GetProperty("type").GetString() == "browser")
            .Select(process => process.GetProperty("id").GetInt32()).ToArray();
        foreach (var id in ids)
        {
            try
            {
                using var process = Process.GetProcessById(id);
                process.Kill();
                await process.WaitForExitAsync().WaitAsync(Limits.Step);
            }
            catch (ArgumentException)
            {
                // It ended together with the one before.
            }
        }

        await closed.Task.WaitAsync(Limits.Step);
    }

    /// <summary>Ends the browser if it still runs and deletes the profile.</summary>
    public async ValueTask DisposeAsync()
    {
        if (running is not null)
        {
            await running.DisposeAsync();
        }

        TemporaryFolder.Delete(profile);
    }
}
