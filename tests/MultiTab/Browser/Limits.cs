namespace DataSync.MultiTab.Browser;

/// <summary>
/// When a test gives up. Each is far above what a busy machine needs, so that what runs into one hangs; how fast anything is, is for
/// the bench. A test that is about a time states it itself, and measures beside it how slow the machine is.
/// </summary>
public static class Limits
{
    /// <summary>A single step in a page. WebKit takes ten seconds of CPU time to start one.</summary>
    public const int Step_ms = 180_000;

    /// <summary>A whole test.</summary>
    public const int Test_ms = 600_000;

    /// <summary>A test of many parts.</summary>
    public const int LongTest_ms = 900_000;

    /// <inheritdoc cref="Step_ms"/>
    public static readonly TimeSpan Step = TimeSpan.FromMilliseconds(Step_ms);
}
