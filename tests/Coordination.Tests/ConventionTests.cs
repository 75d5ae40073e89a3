using System.Collections.Immutable;
using System.Reflection;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;

namespace DataSync.Coordination.Tests;

public sealed class ConventionTests
{
    private static readonly string Source = Path.GetFullPath(Path.Combine(Here(), "..", "..", "src", "Coordination"));

    [Fact]
    public void Event_ids_are_unique_and_in_the_band_of_this_library()
    {
        var ids = typeof(TabCoordinator).Assembly.GetType("DataSync.Coordination.Log")!
            .GetMethods(BindingFlags.Static | BindingFlags.Public)
            .Select(method => method.GetCustomAttribute<LoggerMessageAttribute>()!.EventId).ToArray();
        Assert.NotEmpty(ids);
        Assert.Equal(ids.Length, ids.Distinct().Count());
        Assert.All(ids, id => Assert.InRange(id, 1000, 1999));
    }

    [Fact]
    public void Public_classes_are_sealed_or_static()
    {
        Assert.All(typeof(TabCoordinator).Assembly.GetExportedTypes().Where(type => type.IsClass), type => Assert.True(type.IsSealed, type.Name));
    }

    [Fact]
    public void The_platform_seam_has_at_most_seven_members()
    {
        var members = typeof(ITabPlatform).GetInterfaces().Append(typeof(ITabPlatform)).SelectMany(type => type.GetMethods());
        Assert.InRange(members.Count(), 1, 7);
    }

    [Fact]
    public void The_election_remembers_and_exchanges_only_values()
    {
        Type[] own = [typeof(TabId), typeof(Epoch), typeof(TabRole), typeof(LeaseRecord), typeof(LeaseReading), typeof(ElectionEventKind), typeof(ElectionEffectKind)];
        var types = new[] { typeof(ElectionState), typeof(ElectionEvent), typeof(ElectionEffect) }
            .SelectMany(type => type.GetProperties(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic))
            .Select(property => Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType)
            .Where(type => !own.Contains(type) && type != typeof(Type)).Distinct();
        Assert.All(types, type => Assert.True(
            type.IsPrimitive || type == typeof(string) || type == typeof(TimeSpan) || type == typeof(ImmutableArray<TabId>), type.FullName));
    }

    [Fact]
    public void Files_and_methods_stay_small()
    {
        var files = Directory.GetFiles(Source, "*.cs");
        Assert.NotEmpty(files);
        Assert.All(files, file =>
        {
            var lines = File.ReadAllLines(file);
            Assert.True(lines.Length <= 400, $"{file}: {lines.Length} lines");
            Assert.All(lines, line => Assert.True(line.Length <= 200, $"{file}: {line}"));
            Assert.InRange(LongestBlock(lines), 0, 70);
        });
        Assert.InRange(File.ReadAllLines(Path.Combine(Source, "wwwroot", "coordination.js")).Length, 1, 300);
    }

    /// <summary>The longest run from an opening brace at a member's indentation (4 or 8) to its closing one, types left out.</summary>
    private static int LongestBlock(string[] lines)
    {
        var longest = 0;
        foreach (var indent in new[] { "    ", "        " })
        {
            for (var start = 1; start < lines.Length; start++)
            {
                if (lines[start] != indent + "{" || lines[start - 1].Contains(" class ", StringComparison.Ordinal))
                    continue;
                var end = Array.IndexOf(lines, indent + "}", start);
                longest = Math.Max(longest, end - start - 1);
            }
        }

        return longest;
    }

    private static string Here([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
