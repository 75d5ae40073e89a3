using Xunit.Abstractions;

namespace DataSync.MultiTab.Browser;

/// <summary>The output of one test, which the runner shows when it fails. Takes lines from any thread, also late ones.</summary>
public sealed class TestLog(ITestOutputHelper output)
{
    public void Write(string line)
    {
        try
        {
            output.WriteLine($"{TimeProvider.System.GetUtcNow():HH:mm:ss.fff} {line}");
        }
        catch (InvalidOperationException)
        {
            // The test has ended; what its pages say while they close belongs to nobody.
        }
    }
}
