using DataSync.Storage;
using Spectre.Console;

namespace DataSync.Cli;

internal static class VerifyCommands
{
    public static async Task<int> VerifyAsync(StoreSession session, Report report, bool isSample)
    {
        var mode = isSample ? RecoveryMode.Sample : RecoveryMode.Full;
        var found = await report.WithProgressAsync(
            "Verifying", progress => Recovery.VerifyAsync(session.Store, mode, progress, session.CancellationToken).AsTask()).ConfigureAwait(false);
        Write(report, found, isRepaired: false);
        return found.IsCorrupt ? ExitCode.Damaged : ExitCode.Ok;
    }

    /// <summary>Repairs as a leader would; a sound store is left as it is.</summary>
    public static async Task<int> RepairAsync(StoreSession session, Report report)
    {
        var found = await report.WithProgressAsync(
            "Verifying", progress => Recovery.VerifyAsync(session.Store, progress: progress, cancellationToken: session.CancellationToken).AsTask()).ConfigureAwait(false);
        if (found.Findings.Count > 0)
        {
            await session.LeadAsync().ConfigureAwait(false);
            var recovered = await session.LoadAsync(CorruptionAction.Repair, null).ConfigureAwait(false);
            using var image = recovered.Image;

            // A damaged head is written anew by whoever leads, so only the first look saw it.
            found = recovered.Report with { Findings = [.. found.Findings.Where(f => f.Kind == RecoveryFindingKind.CorruptHead), .. recovered.Report.Findings] };
            await Recovery.RepairAsync(session.Store, session.Fence, recovered, session.CancellationToken).ConfigureAwait(false);
        }

        Write(report, found, isRepaired: found.Findings.Count > 0);
        return ExitCode.Ok;
    }

    private static void Write(Report report, RecoveryReport found, bool isRepaired)
    {
        var result = new VerifyResult(
            found.Findings.Count == 0, found.IsCorrupt, found.Position.Marker, found.Extents, found.LogRecords, found.RolledBack, isRepaired,
            [.. found.Findings.Select(f => new FindingResult(f.Kind.ToString(), f.Where, f.Detail, f.Blocks))]);
        report.Write(result, ResultJson.Default.VerifyResult, console =>
        {
            foreach (var finding in found.Findings) console.Write(new Text($"{finding.Where}: {finding.Detail}\n"));
            var read = $"{found.Extents} extents, {found.LogRecords} commits, marker {found.Position.Marker}";
            console.Write(new Text(found switch
            {
                { Findings.Count: 0 } => $"Sound: {read}.\n",
                _ when isRepaired => $"Repaired: {read}. What was removed or replaced is in the quarantine. Check the database with PRAGMA integrity_check.\n",
                { IsCorrupt: true } => $"Damaged: {read} can be read. Keep a copy of it, then run repair.\n",
                _ => $"Sound, with left-overs of a crash: {read}.\n",
            }));
        });
    }
}
