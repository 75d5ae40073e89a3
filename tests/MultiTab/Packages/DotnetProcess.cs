using System.Diagnostics;
using System.Text.RegularExpressions;
using DataSync.MultiTab.Browser;

namespace DataSync.MultiTab.Packages;

/// <summary>The dotnet command, as a person runs it in a folder.</summary>
internal sealed class DotnetProcess : IAsyncDisposable
{
    private readonly Process process;
    private readonly List<string> lines = [];
    private TaskCompletionSource changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private DotnetProcess(ProcessStartInfo start)
    {
        process = new Process { StartInfo = start };
        process.OutputDataReceived += Keep;
        process.ErrorDataReceived += Keep;
        process.Start();
        process.StandardInput.Close();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
    }

    /// <summary>All that it has said.</summary>
    public string Log
    {
        get
        {
            lock (lines) return string.Join('\n', lines);
        }
    }

    /// <summary>Starts it without the traces of the dotnet that runs the tests; it leaves no compiler or build server behind.</summary>
    /// <param name="environment">Variables for it.</param>
    /// <param name="folder">Where it runs.</param>
    /// <param name="arguments">What follows <c>dotnet</c>.</param>
    public static DotnetProcess Start(IReadOnlyDictionary<string, string> environment, string folder, params string[] arguments)
    {
        var start = new ProcessStartInfo("dotnet", arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("MSBUILD", StringComparison.OrdinalIgnoreCase)).ToArray()) start.Environment.Remove(name);
        // It would be stronger than a nuget.config.
        start.Environment.Remove("NUGET_PACKAGES");
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["UseSharedCompilation"] = "false";
        start.Environment["DOTNET_CLI_UI_LANGUAGE"] = "en";
        foreach (var (name, value) in environment) start.Environment[name] = value;
        return new(start);
    }

    /// <summary>Runs it to its end; throws, with all that it said, when it fails.</summary>
    public static async Task RunAsync(string folder, params string[] arguments)
    {
        await using var command = Start(new Dictionary<string, string>(), folder, arguments);
        await command.process.WaitForExitAsync().WaitAsync(TimeSpan.FromMilliseconds(Limits.LongTest_ms));
        if (command.process.ExitCode != 0) throw new InvalidOperationException($"'dotnet {string.Join(' ', arguments)}' ended with {command.process.ExitCode}:\n{command.Log}");
    }

    /// <summary>Waits until it says something; returns what the first group of the pattern took of it.</summary>
    public async Task<string> WaitForAsync(string pattern, int limit_ms = Limits.Test_ms)
    {
        using var limit = new CancellationTokenSource(limit_ms);
        while (true)
        {
            var more = changed.Task;
            if (Regex.Match(Log, pattern) is { Success: true } match) return match.Groups[1].Value;
            if (process.HasExited) throw new InvalidOperationException($"It ended, and never said '{pattern}':\n{Log}");
            try
            {
                await more.WaitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                throw new TimeoutException($"It did not say '{pattern}' in {limit_ms} ms:\n{Log}");
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!process.HasExited) process.Kill(entireProcessTree: true);
        await process.WaitForExitAsync().WaitAsync(Limits.Step);
        process.Dispose();
    }

    // The end of the output is a null.
    private void Keep(object sender, DataReceivedEventArgs line)
    {
        lock (lines)
        {
            if (line.Data is not null) lines.Add(line.Data);
        }

        Interlocked.Exchange(ref changed, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
    }
}
