using System.Globalization;
using Spectre.Console;

namespace DataSync.Bench;

/// <summary>The results as tables for a terminal.</summary>
internal static class ConsoleReport
{
    public static void Write(IAnsiConsole console, RunReport report)
    {
        foreach (var block in report.Metrics)
        {
            var table = new Table { Title = new TableTitle(Markup.Escape(block.Title)), Border = TableBorder.Simple };
            foreach (var name in (string[])["", "median", "p10–p90", "n", "× limit", "× DataSync"]) table.AddColumn(name);
            foreach (var row in block.Rows)
            {
                var value = row.Statistic;
                table.AddRow(((string[])
                [
                    row.Title,
                    value is null ? row.Reason ?? "" : Number.Format(value.Median, block.Unit),
                    value is null ? "" : $"{Number.Format(value.P10, block.Unit)}–{Number.Format(value.P90, block.Unit)}",
                    value?.Count.ToString(CultureInfo.InvariantCulture) ?? "",
                    Number.Ratio(row.ToLimit),
                    Number.Ratio(row.ToDataSync),
                ]).Select(Markup.Escape).ToArray());
            }

            console.Write(table);
        }

        if (report.Bars.All(bar => bar.IsMet is null)) return;
        var bars = new Table { Title = new TableTitle("Bars"), Border = TableBorder.Simple, ShowHeaders = false };
        foreach (var name in (string[])["bar", "measured", ""]) bars.AddColumn(name);
        foreach (var bar in report.Bars.Where(bar => bar.IsMet is not null))
            bars.AddRow(Markup.Escape(bar.Title), Markup.Escape(bar.Value), bar.IsMet is true ? "met" : "[red]missed[/]");
        console.Write(bars);
    }
}
