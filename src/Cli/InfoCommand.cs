using DataSync.Storage;

namespace DataSync.Cli;

internal static class InfoCommand
{
    public static async Task<int> RunAsync(StoreSession session, Report report)
    {
        var recovered = await report.WithProgressAsync("Reading", progress => session.LoadAsync(CorruptionAction.Report, progress).AsTask()).ConfigureAwait(false);
        using var image = recovered.Image;
        var head = recovered.Head;
        var quarantine = await session.Place.ListQuarantineAsync(session.CancellationToken).ConfigureAwait(false);
        var result = new InfoResult(
            session.Place.Description, head.Incarnation, head.Format, head.Checksum.ToString(), head.Epoch.Value, head.Holder?.Value,
            image.Position.Marker, image.Position.Commit.ToString(), head.Checkpoint.Marker, image.FileSize, recovered.Report.Extents,
            recovered.LogRecords, recovered.LogBytes, recovered.Report.Findings.Count, quarantine);
        report.Write(result, ResultJson.Default.InfoResult, console => Report.WriteTable(
            console,
            ("Store", result.Store), ("Incarnation", result.Incarnation), ("Format", result.Format), ("Checksum", result.Checksum),
            ("Epoch", result.Epoch), ("Last leader", result.Holder ?? "none"), ("Marker", result.Marker), ("Last commit", result.Commit),
            ("Checkpoint", result.CheckpointMarker), ("Database", $"{result.SizeBytes} bytes"), ("Extents", result.Extents),
            ("Log", $"{result.LogRecords} commits, {result.LogBytes} bytes"),
            ("Quarantine", Describe(quarantine)), ("State", recovered.Report.Findings.Count == 0 ? "sound" : recovered.Report.Describe())));
        return recovered.Report.IsCorrupt ? ExitCode.Damaged : ExitCode.Ok;
    }

    // Names of a few: a folder that nobody empties can hold many.
    private static string Describe(IReadOnlyList<QuarantinedResult> files) => files.Count == 0
        ? "empty"
        : $"{files.Count} records, {files.Sum(file => file.Bytes)} bytes: {string.Join(", ", files.Take(5).Select(file => file.Name))}{(files.Count > 5 ? " …" : "")}";
}
