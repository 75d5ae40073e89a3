using System.Diagnostics;
using System.Globalization;

namespace DataSync.Bench;

/// <summary>What the operating system says of a process's memory.</summary>
internal static class Memory
{
    /// <summary>All of its memory, shared libraries too; 0 when it has ended.</summary>
    public static long ResidentBytes(int processId)
    {
        try
        {
            using var process = Process.GetProcessById(processId);
            return process.WorkingSet64;
        }
        catch (Exception error) when (error is ArgumentException or InvalidOperationException)
        {
            return 0;
        }
    }

    /// <summary>What is its own: anonymous memory (Linux), else <see cref="ResidentBytes"/>.</summary>
    public static long OwnBytes(int processId)
    {
        var file = $"/proc/{processId}/status";
        if (!File.Exists(file)) return ResidentBytes(processId);
        var line = File.ReadLines(file).FirstOrDefault(line => line.StartsWith("RssAnon:", StringComparison.Ordinal));
        return line is null ? ResidentBytes(processId) : 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
    }
}
