using Xunit;

namespace DataSync.MultiTab.Browser;

/// <summary>A measure, which asserts nothing of note: run with DATASYNC_ENGINES_MEASURE=1.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class MeasureFactAttribute : FactAttribute
{
    public MeasureFactAttribute() => Skip = SkipReason;

    public static string? SkipReason { get; } =
        Environment.GetEnvironmentVariable("DATASYNC_ENGINES_MEASURE") == "1" ? null : "A measure: set DATASYNC_ENGINES_MEASURE=1.";
}
