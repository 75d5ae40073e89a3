using DataSync.Contracts;
using Xunit;

namespace DataSync.Simulation;

public sealed class HistoryCheckerTests
{
    /// <summary>
    /// Writes as <c>name number began-ended outcome</c> (a: acknowledged, r: refused, u: unknown, never told without an end), then
    /// the history, then a word of the violation.
    /// </summary>
    [Theory]
    [InlineData("A1 0-1 a, B1 0-1 a, A2 2-3 a", "A1 B1 A2", null)]
    [InlineData("A1 0-1 a, B1 0-1 a", "B1 A1", null)]
    [InlineData("A1 0-1 u, A2 2-3 r", "", null)]
    [InlineData("A1 0-1 u, B1 2-3 a", "B1 A1", null)]
    [InlineData("A1 0- u, A2 2-3 a", "A2 A1", null)]
    [InlineData("A1 0-1 a, B1 0-1 a", "A1", "B/1 was acknowledged and is not there")]
    [InlineData("A1 0-1 a", "A1 A1", "twice")]
    [InlineData("A1 0-1 u", "A1 A1", "twice")]
    [InlineData("A1 0-1 r", "A1", "was refused and is there")]
    [InlineData("A1 0-1 a", "A1 B7", "nobody asked for it")]
    [InlineData("A1 0-1 a, B1 2-3 a", "B1 A1", "A/1 ended before B/1 began")]
    [InlineData("A1 0-1 a, B1 0-9 a, C1 2-3 u", "C1 B1 A1", "A/1 ended before C/1 began")]
    [InlineData("A1 0-1 u, A2 2-3 a", "A2 A1", "A/1 ended before A/2 began")]
    public void A_history_is_judged(string writes, string history, string? expected)
    {
        var violation = HistoryChecker.FindViolation(
            writes.Split(", ").Select(Write), [.. history.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Name)]);
        if (expected is null) Assert.Null(violation);
        else Assert.Contains(expected, violation, StringComparison.Ordinal);
    }

    private static HistoryWrite Write(string text)
    {
        var parts = text.Split(' ');
        var (writer, number) = Name(parts[0]);
        var times = parts[1].Split('-');
        var outcome = parts[2] switch { "a" => WriteOutcome.Acknowledged, "r" => WriteOutcome.Refused, _ => WriteOutcome.Unknown };
        return new(writer, number, double.Parse(times[0]), times[1].Length == 0 ? null : double.Parse(times[1]), outcome);
    }

    private static (string Writer, long Number) Name(string text) => (text[..1], long.Parse(text[1..]));
}
