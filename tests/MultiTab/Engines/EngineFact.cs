using System.ComponentModel;
using Xunit;
using Xunit.Abstractions;
using Xunit.Sdk;

namespace DataSync.MultiTab.Engines;

/// <summary>A test of <see cref="EngineTests{TEngine}"/>: skipped, and reported so, where its browser was not asked for or is not installed.</summary>
[AttributeUsage(AttributeTargets.Method)]
[XunitTestCaseDiscoverer("DataSync.MultiTab.Engines.EngineFactDiscoverer", "DataSync.MultiTab")]
public class EngineFactAttribute : FactAttribute
{
    /// <summary>The class whose tests show the same in Chromium, so that only the other browsers need this one; <c>DATASYNC_ENGINES_WHOLE=1</c> runs it all the same.</summary>
    public string? ChromiumHas { get; set; }
}

public sealed class EngineFactDiscoverer(IMessageSink diagnostics) : IXunitTestCaseDiscoverer
{
    public IEnumerable<IXunitTestCase> Discover(ITestFrameworkDiscoveryOptions discoveryOptions, ITestMethod testMethod, IAttributeInfo factAttribute) =>
        [new EngineTestCase(diagnostics, discoveryOptions.MethodDisplayOrDefault(), discoveryOptions.MethodDisplayOptionsOrDefault(), testMethod)];
}

/// <summary>Knows the class that runs the test, which the attribute of an inherited method does not.</summary>
public sealed class EngineTestCase : XunitTestCase
{
    [EditorBrowsable(EditorBrowsableState.Never)]
    [Obsolete("For deserialisation only.")]
    public EngineTestCase()
    {
    }

    public EngineTestCase(IMessageSink diagnostics, TestMethodDisplay display, TestMethodDisplayOptions options, ITestMethod method)
        : base(diagnostics, display, options, method)
    {
    }

    protected override string? GetSkipReason(IAttributeInfo factAttribute)
    {
        var type = TestMethod.TestClass.Class.ToRuntimeType();
        while (!type.IsConstructedGenericType) type = type.BaseType!;
        var engine = (IEngine)Activator.CreateInstance(type.GenericTypeArguments[0])!;
        return EngineChoice.SkipReason(engine) ?? EngineChoice.SkipReason(engine, factAttribute.GetNamedArgument<string?>(nameof(EngineFactAttribute.ChromiumHas))) ?? base.GetSkipReason(factAttribute);
    }
}

/// <summary>Which engines to test, from the environment.</summary>
internal static class EngineChoice
{
    private static readonly string[] Chosen =
        (Environment.GetEnvironmentVariable("DATASYNC_ENGINES") is { Length: > 0 } names ? names : "chromium,firefox,webkit").Split(',', StringSplitOptions.TrimEntries);

    /// <summary>Held by whoever writes to the report.</summary>
    public static readonly Lock Reporting = new();

    private static readonly bool AreRequired = Environment.GetEnvironmentVariable("DATASYNC_ENGINES_REQUIRED") == "1";

    /// <summary>Whether all is run, also what another test or another browser shows as well.</summary>
    public static readonly bool IsWhole = Environment.GetEnvironmentVariable("DATASYNC_ENGINES_WHOLE") == "1";

    /// <summary>Why the tests of an engine do not run; null when they do, or must fail.</summary>
    public static string? SkipReason(IEngine engine)
    {
        if (!Chosen.Contains(engine.Name)) return "DATASYNC_ENGINES does not name this browser.";
        return engine.Missing is { } missing && !AreRequired ? $"Not installed: {missing}." : null;
    }

    /// <summary>Why a test does not run that other tests show in Chromium.</summary>
    public static string? SkipReason(IEngine engine, string? chromiumHas) =>
        chromiumHas is not null && engine is ChromiumEngine && !IsWhole ? $"{chromiumHas} shows this in Chromium. DATASYNC_ENGINES_WHOLE=1 runs it all the same." : null;
}
