using System.Globalization;
using DataSync.Storage;
using Spectre.Console;

namespace DataSync.Cli;

internal static class LogCommand
{
    public static async Task<int> RunAsync(StoreSession session, Report report, int limit)
    {
        var reader = new Reader();
        await session.Store.ReadAsync(new StoreRead(reader, IncludeExtents: false), session.CancellationToken).ConfigureAwait(false);
        var result = new LogResult(session.Head.Checkpoint.Marker, [.. reader.Commits.TakeLast(Math.Max(0, limit))]);
        report.Write(result, ResultJson.Default.LogResult, console => WriteTable(console, result));
        return reader.Commits.Exists(commit => commit.Error is not null) ? ExitCode.Damaged : ExitCode.Ok;
    }

    private static void WriteTable(IAnsiConsole console, LogResult result)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns("Marker", "Epoch", "Time (UTC)", "Writer", "Blocks", "Bytes");
        foreach (var commit in result.Commits)
        {
            table.AddRow(
                Cell(commit.Marker), Cell(commit.Epoch), new Text(commit.Time?.ToString("yyyy-MM-dd HH:mm:ss.fff", CultureInfo.InvariantCulture) ?? ""),
                new Text(commit.Writer ?? ""), new Text(commit.Error ?? Describe(commit)), Cell(commit.Bytes));
        }

        console.Write(table);
        console.Write(new Text(FormattableString.Invariant($"Commits up to {result.CheckpointMarker} are folded into extents.\n")));
    }

    private static Text Cell(long number) => new(number.ToString(CultureInfo.InvariantCulture));

    private static string Describe(CommitResult commit)
    {
        var blocks = string.Join(' ', commit.Blocks.Take(8)) + (commit.Blocks.Count > 8 ? FormattableString.Invariant($" … ({commit.Blocks.Count})") : "");
        return commit.Freed.Count == 0 ? blocks : FormattableString.Invariant($"{blocks}, {commit.Freed.Count} freed");
    }

    private sealed class Reader : IStoreReadSink
    {
        public List<CommitResult> Commits { get; } = [];

        public void OnHead(Head head, int extents, int logRecords)
        {
        }

        public void OnExtent(Extent extent, int recordSize) => extent.Dispose();

        public void OnLog(long marker, byte[] record, bool mayBeTorn)
        {
            var commit = CommitRecord.Parse(record, verifyBlocks: true, out var error);
            Commits.Add(commit is null
                ? new(marker, null, 0, null, null, [], [], 0, record.Length, error)
                : new(marker, commit.Id.ToString(), commit.Epoch.Value, DateTimeOffset.FromUnixTimeMilliseconds(commit.TimeMs), commit.Writer.Value,
                    commit.BlockIds.ToArray(), commit.FreedIds.ToArray(), commit.FileSize, record.Length, null));
        }
    }
}
