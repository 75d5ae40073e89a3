using System.Globalization;
using System.Text;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Chaos;

/// <summary>What happened in a run, one line an event: seconds since its start, who, what.</summary>
internal sealed class ChaosLog : ITestOutputHelper
{
    private static readonly TimeProvider Time = TimeProvider.System;

    private readonly StringBuilder lines = new();
    private readonly long start = Time.GetTimestamp();

    public void Write(string who, string what)
    {
        var at = Time.GetElapsedTime(start).TotalSeconds;
        lock (lines) lines.Append(CultureInfo.InvariantCulture, $"{at,8:0.000} {who,-4} {what.ReplaceLineEndings(" ")}\n");
    }

    /// <summary>What the pages write to their consoles.</summary>
    public void WriteLine(string message) => Write("page", message.Length > 400 ? message[..400] : message);

    public void WriteLine(string format, params object[] args) => WriteLine(string.Format(CultureInfo.InvariantCulture, format, args));

    public override string ToString()
    {
        lock (lines) return lines.ToString();
    }
}
