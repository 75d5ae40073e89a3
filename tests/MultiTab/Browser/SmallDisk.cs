using System.Diagnostics;
using Xunit;

namespace DataSync.MultiTab.Browser;

/// <summary>A test that needs a <see cref="SmallDisk"/>: skipped, and reported so, where this process may not mount one.</summary>
public sealed class SmallDiskFactAttribute : FactAttribute
{
    public SmallDiskFactAttribute()
    {
        if (!OperatingSystem.IsLinux() || !Environment.IsPrivilegedProcess) Skip = "Mounting a tmpfs needs Linux and root, as in CI.";
    }
}

/// <summary>A file system of its own in memory (tmpfs) with a bound, so that a disk can really be full. Needs root, as test machines have it.</summary>
internal sealed class SmallDisk : IAsyncDisposable
{
    private readonly string ballast;

    private SmallDisk(string folder) => (Folder, ballast) = (folder, Path.Combine(folder, "ballast"));

    public string Folder { get; }

    public static async Task<SmallDisk> CreateAsync(int megabytes)
    {
        var folder = Directory.CreateTempSubdirectory("datasync-disk-").FullName;
        await RunAsync("mount", "-t", "tmpfs", "-o", $"size={megabytes}m", "tmpfs", folder);
        return new SmallDisk(folder);
    }

    /// <summary>Fills it with something else, so that this much is left.</summary>
    public async Task LeaveAsync(int megabytes)
    {
        var free = new DriveInfo(Folder).AvailableFreeSpace - (megabytes << 20);
        await using var file = new FileStream(ballast, FileMode.Append);
        var chunk = new byte[1 << 20];
        for (; free > 0; free -= chunk.Length) await file.WriteAsync(chunk.AsMemory(0, (int)Math.Min(free, chunk.Length)));
    }

    /// <summary>Takes away what <see cref="LeaveAsync"/> has put there.</summary>
    public void MakeRoom() => File.Delete(ballast);

    public async ValueTask DisposeAsync()
    {
        await RunAsync("umount", "-l", Folder); // also while a browser that just ends has files open
        TemporaryFolder.Delete(Folder);
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        var error = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {error}");
    }
}
