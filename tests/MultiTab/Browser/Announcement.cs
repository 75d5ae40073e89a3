using System.Diagnostics;

namespace DataSync.MultiTab.Browser;

/// <summary>The line by which a browser says on its error output where it listens.</summary>
internal static class Announcement
{
    /// <summary>Waits for a line that begins like this and returns its rest. What else the program prints, then and later, is dropped.</summary>
    public static async Task<Uri> WaitAsync(Process process, string beginning)
    {
        var address = new TaskCompletionSource<Uri>(TaskCreationOptions.RunContinuationsAsynchronously);
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, line) =>
        {
            if (line.Data is null)
            {
                address.TrySetException(new IOException($"{process.StartInfo.FileName} ended before it listened."));
            }
            else if (line.Data.StartsWith(beginning, StringComparison.Ordinal))
            {
                address.TrySetResult(new Uri(line.Data[beginning.Length..].Trim()));
            }
        };
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        return await address.Task.WaitAsync(Limits.Step);
    }
}
