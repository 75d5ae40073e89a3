using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace DataSync.Bench;

/// <summary>What a run was made on.</summary>
internal static class Machine
{
    public static string Describe()
    {
        var cpu = File.Exists("/proc/cpuinfo")
            ? File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim()
            : null;
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 1e9;
        return string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessorCount} × {cpu ?? RuntimeInformation.ProcessArchitecture.ToString()}, {memory:0} GB");
    }

    /// <summary>Load of the last minute, where the system tells it: a busy machine measures nothing.</summary>
    public static string Load() => File.Exists("/proc/loadavg") ? File.ReadAllText("/proc/loadavg").Split(' ')[0] : "unknown";

    /// <summary>The versions of the npm packages, from the lock file.</summary>
    public static IReadOnlyDictionary<string, string> Packages()
    {
        using var lockFile = JsonDocument.Parse(File.ReadAllText(Path.Combine(BenchHost.Folder, "package-lock.json")));
        const string Prefix = "node_modules/";
        return lockFile.RootElement.GetProperty("packages").EnumerateObject()
            .Where(package => package.Name.StartsWith(Prefix, StringComparison.Ordinal))
            .ToDictionary(package => package.Name[Prefix.Length..], package => package.Value.GetProperty("version").GetString()!);
    }
}
