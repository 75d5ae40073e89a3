using System.Globalization;
using System.Security;
using System.Text;

namespace DataSync.Bench;

/// <summary>The medians as horizontal bars, one panel for each of a few metrics, on a logarithmic scale of its own.</summary>
internal static class SvgChart
{
    private const int Width = 860;
    private const int Labels = 250;
    private const int Values = 80;
    private const int Row = 20;
    private const int Title = 40;
    private const int Margin = 16;

    private static readonly string[] Shown =
        ["w1", "w2", "w3", "w4.100k", "w5.50mb", "w6.total", "w7.killed", "w8", "native.commit", "native.transaction"];

    public static string Create(RunReport report)
    {
        var blocks = report.Metrics.Where(block => Shown.Contains(block.Id)).ToList();
        var height = Margin + Title + blocks.Sum(block => Title + Measured(block).Count * Row) + Margin;
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {Width} {height}" width="{Width}" height="{height}" role="img" aria-label="Medians of DataSync and other libraries">""");
        text.AppendLine("""
            <style>
              text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 } .note { fill: #57606a }
              .back { fill: #ffffff } .bar { fill: #a8b3c1 } .limit { fill: #c9b458 } .own { fill: #4f5bd5 }
              @media (prefers-color-scheme: dark) {
                text { fill: #e6edf3 } .note { fill: #9aa4af } .back { fill: #0d1117 } .bar { fill: #566270 } .limit { fill: #8a7a2e } .own { fill: #8b93ff }
              }
            </style>
            """);
        text.AppendLine(CultureInfo.InvariantCulture, $"""<rect class="back" width="{Width}" height="{height}"/>""");
        text.AppendLine(CultureInfo.InvariantCulture, $"""<text class="note" x="{Margin}" y="{Margin + 14}">Medians; shorter is better; logarithmic, each panel for itself. Blue: DataSync. Yellow: the limit.</text>""");
        var y = Margin + Title;
        foreach (var block in blocks) y = WritePanel(text, block, y);
        return text.AppendLine("</svg>").ToString();
    }

    private static int WritePanel(StringBuilder text, MetricBlock block, int y)
    {
        text.AppendLine(CultureInfo.InvariantCulture, $"""<text class="title" x="{Margin}" y="{y + 14}">{SecurityElement.Escape(block.Title)}</text>""");
        y += Title - 16;
        var rows = Measured(block);
        var (least, most) = (Math.Log(rows[0].Median) - Math.Log(2), Math.Log(rows[^1].Median));
        foreach (var (row, median) in rows)
        {
            var length = Math.Max(2, (Math.Log(median) - least) / Math.Max(0.1, most - least) * (Width - 2 * Margin - Labels - Values));
            var kind = row.Library.Contains("datasync", StringComparison.Ordinal) ? "own" : row.Library == block.Limit || row.Library == "idb-strict" ? "limit" : "bar";
            text.AppendLine(CultureInfo.InvariantCulture, $"""<text x="{Margin + Labels - 8}" y="{y + 14}" text-anchor="end">{SecurityElement.Escape(row.Title)}</text>""");
            text.AppendLine(CultureInfo.InvariantCulture, $"""<rect class="{kind}" x="{Margin + Labels}" y="{y + 3}" width="{length:0.0}" height="{Row - 6}" rx="2"/>""");
            text.AppendLine(CultureInfo.InvariantCulture, $"""<text x="{Margin + Labels + length + 6:0.0}" y="{y + 14}">{Number.Format(median, block.Unit)}</text>""");
            y += Row;
        }

        return y + 16;
    }

    private static List<(MetricRow Row, double Median)> Measured(MetricBlock block) =>
        [.. block.Rows.Where(row => row.Statistic?.Median > 0).Select(row => (row, row.Statistic!.Median)).OrderBy(row => row.Median)];
}
