using System.Globalization;
using System.Text;

namespace DataSync.Bench;

/// <summary>The results as Markdown: how they were made, the bars, and a table for each metric.</summary>
internal static class MarkdownReport
{
    public const string Begin = "<!-- results: written by dotnet run --project bench -c Release -- --readme -->";
    public const string End = "<!-- end of results -->";

    public static string Create(RunReport report, IReadOnlyList<Library> libraries, string chart)
    {
        var text = new StringBuilder();
        var run = report.Run;
        text.AppendLine(CultureInfo.InvariantCulture, $"Run of {run.Start:yyyy-MM-dd HH:mm} UTC: {run.Rounds} rounds in {run.Minutes:0} minutes{(run.IsQuick ? ", **quick: smaller, not to be compared**" : "")}.");
        text.AppendLine(CultureInfo.InvariantCulture, $"{run.Browser}, headless, {run.System}; {run.DotNet}; {run.Machine}.").AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"![Medians of DataSync and the other libraries]({chart})").AppendLine();
        WriteBars(text, report.Bars);
        WriteLibraries(text, report, libraries);
        foreach (var block in report.Metrics) WriteBlock(text, block);
        return text.ToString().TrimEnd() + "\n";
    }

    /// <summary>A document with the part between the two marks replaced.</summary>
    public static string Insert(string document, string results)
    {
        var (begin, end) = (document.IndexOf(Begin, StringComparison.Ordinal), document.IndexOf(End, StringComparison.Ordinal));
        if (begin < 0 || end < begin) throw new InvalidDataException("bench/README.md does not have the marks that the results go between.");
        return $"{document[..(begin + Begin.Length)]}\n\n{results}\n{document[end..]}";
    }

    private static void WriteBars(StringBuilder text, IReadOnlyList<Bar> bars)
    {
        text.AppendLine("### Bars").AppendLine().AppendLine("| bar | measured | |").AppendLine("|---|---|---|");
        foreach (var bar in bars)
            text.AppendLine(CultureInfo.InvariantCulture, $"| {bar.Title} | {bar.Value} | {bar.IsMet switch { true => "met", false => "**missed**", null => "–" }} |");
        text.AppendLine();
    }

    private static void WriteLibraries(StringBuilder text, RunReport report, IReadOnlyList<Library> libraries)
    {
        text.AppendLine("### Libraries").AppendLine().AppendLine("| | version | what an awaited write waited for |").AppendLine("|---|---|---|");
        foreach (var library in libraries)
        {
            var versions = string.Join(", ", library.Packages.Select(package => report.Run.Versions.GetValueOrDefault(package, "?")));
            text.AppendLine(CultureInfo.InvariantCulture, $"| {library.Title} | {versions} | {library.Durable} |");
        }

        text.AppendLine();
    }

    private static void WriteBlock(StringBuilder text, MetricBlock block)
    {
        text.AppendLine(CultureInfo.InvariantCulture, $"### {block.Title}").AppendLine();
        text.AppendLine("| | median | p10–p90 | n | × limit | × DataSync |").AppendLine("|---|--:|--:|--:|--:|--:|");
        foreach (var row in block.Rows)
        {
            text.AppendLine(row.Statistic is { } value
                ? string.Create(CultureInfo.InvariantCulture,
                    $"| {row.Title} | {Number.Format(value.Median, block.Unit)} | {Number.Format(value.P10, block.Unit)} – {Number.Format(value.P90, block.Unit)} | {value.Count} | {Number.Ratio(row.ToLimit)} | {Number.Ratio(row.ToDataSync)} |")
                : $"| {row.Title} | {row.Reason?.Replace("|", "\\|", StringComparison.Ordinal)} | | | | |");
        }

        text.AppendLine();
    }
}
