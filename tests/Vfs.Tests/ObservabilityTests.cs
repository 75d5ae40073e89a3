using System.Diagnostics.Metrics;
using System.Reflection;
using System.Runtime.CompilerServices;
using DataSync.Coordination;
using DataSync.Storage;
using Microsoft.Extensions.Logging;
using Xunit;

namespace DataSync.Vfs.Tests;

/// <summary>docs/OBSERVABILITY.md lists every instrument, event and log message, and nothing that does not exist.</summary>
public sealed class ObservabilityTests
{
    private static readonly string[] Document = File.ReadAllLines(Path.Combine(Here(), "..", "..", "docs", "OBSERVABILITY.md"));
    private static readonly Assembly[] Libraries = [typeof(TabCoordinator).Assembly, typeof(CommitPipeline).Assembly, typeof(DataSyncDatabase).Assembly];

    [Theory]
    [InlineData("DataSync.Coordination")]
    [InlineData("DataSync.Storage")]
    public void Every_instrument_is_listed(string meter)
    {
        var lines = new SortedSet<string>(StringComparer.Ordinal);
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, _) =>
            {
                if (instrument.Meter.Name != meter) return;
                var kind = instrument.GetType().Name.Split('`')[0];
                lock (lines) lines.Add($"| `{instrument.Name}` | {kind} | {instrument.Unit} | {instrument.Description} |");
            },
        };
        listener.Start();
        RuntimeHelpers.RunClassConstructor(typeof(TabCoordinator).Assembly.GetType("DataSync.Coordination.CoordinationMetrics")!.TypeHandle);
        using var metrics = new StorageMetrics("test");
        Assert.NotEmpty(lines);
        AssertSame(lines, Section($"Meter {meter}"));
    }

    [Fact]
    public void Every_log_message_is_listed_and_its_id_is_in_the_band_of_its_library()
    {
        var messages = Libraries.SelectMany((library, i) => library.GetType(library.GetName().Name + ".Log")!
            .GetMethods(BindingFlags.Static | BindingFlags.Public)
            .Select(method => (Band: (i + 1) * 1000, Message: method.GetCustomAttribute<LoggerMessageAttribute>()!))).ToList();
        Assert.All(messages, m => Assert.InRange(m.Message.EventId, m.Band, m.Band + 999));
        Assert.Equal(messages.Count, messages.DistinctBy(m => m.Message.EventId).Count());
        AssertSame(messages.Select(m => $"| {m.Message.EventId} | {m.Message.Level} | {m.Message.Message} |"), Section("Log messages"));
    }

    [Fact]
    public void Every_event_is_listed()
    {
        var events = Libraries.SelectMany(library => library.GetExportedTypes()).Where(type => type.IsClass)
            .SelectMany(type => type.GetEvents(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly), (type, e) => (Name: $"`{type.Name.Split('`')[0]}.{e.Name}`", e.EventHandlerType))
            .Where(e => e.EventHandlerType!.Name.StartsWith("EventHandler", StringComparison.Ordinal)).Select(e => e.Name);
        AssertSame(events, Section("Events").Select(line => line.Split('|')[1].Trim()));
    }

    // The rows of the table under a heading, without its head.
    private static IEnumerable<string> Section(string heading) =>
        Document.SkipWhile(line => line != "## " + heading).Skip(1).TakeWhile(line => !line.StartsWith("## ", StringComparison.Ordinal))
            .Where(line => line.StartsWith("| ", StringComparison.Ordinal)).Skip(1);

    private static void AssertSame(IEnumerable<string> actual, IEnumerable<string> listed)
    {
        var (real, document) = (actual.ToList(), listed.ToList());
        var missing = string.Join('\n', real.Except(document));
        var surplus = string.Join('\n', document.Except(real));
        Assert.True(missing.Length + surplus.Length == 0, $"docs/OBSERVABILITY.md lacks:\n{missing}\nand should not have:\n{surplus}");
    }

    private static string Here([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
