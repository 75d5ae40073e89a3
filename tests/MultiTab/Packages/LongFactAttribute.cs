using DataSync.MultiTab.Browser;
using Xunit;

namespace DataSync.MultiTab.Packages;

/// <summary>A test that builds for minutes: skipped, and reported so, unless it is asked for, to keep CI short.</summary>
public sealed class LongFactAttribute : FactAttribute
{
    private const string Variable = "DATASYNC_PACKAGES_ALL";

    public LongFactAttribute()
    {
        Timeout = Limits.LongTest_ms;
        if (Environment.GetEnvironmentVariable(Variable) != "1") Skip = $"It builds for minutes; set {Variable}=1 to run it.";
    }
}
