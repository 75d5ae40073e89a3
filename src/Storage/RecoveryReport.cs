using System.Globalization;

namespace DataSync.Storage;

/// <summary>How much of a store is verified when it is opened.</summary>
public enum RecoveryMode
{
    /// <summary>Every block of every extent and log record.</summary>
    Full,

    /// <summary>Every record's header and table, every log record's blocks, and one block of each extent.</summary>
    Sample,

    /// <summary>Only what is needed to read: headers and order.</summary>
    Skip,
}

/// <summary>What is done about something that fails its checks.</summary>
public enum CorruptionAction
{
    /// <summary>Throw <see cref="CorruptStoreException"/> and change nothing: the default.</summary>
    Fail,

    /// <summary>Open what is good, change nothing in the store, and refuse writes until repaired.</summary>
    Report,

    /// <summary>Open what is good and, as leader, remove what is not (kept aside where the store can).</summary>
    Repair,
}

/// <summary>How a store is recovered.</summary>
/// <param name="Mode">How much is verified; <see cref="RecoveryMode.Full"/> by default.</param>
/// <param name="Action">What is done about damage; <see cref="CorruptionAction.Fail"/> by default.</param>
/// <param name="Progress">Told after each record that was read.</param>
public sealed record RecoveryOptions(
    RecoveryMode Mode = RecoveryMode.Full, CorruptionAction Action = CorruptionAction.Fail, IProgress<RecoveryProgress>? Progress = null);

/// <summary>How far a recovery has come.</summary>
/// <param name="Records">Extents and log records read.</param>
/// <param name="Total">How many there are; an estimate.</param>
public readonly record struct RecoveryProgress(int Records, int Total);

/// <summary>One thing that a recovery found.</summary>
/// <param name="Kind">What was found.</param>
/// <param name="Where">The record: <c>log 17</c>, <c>extent 3</c>.</param>
/// <param name="Detail">What is wrong, in words.</param>
/// <param name="Blocks">The affected blocks of the database file; empty when the whole record is meant.</param>
public sealed record RecoveryFinding(RecoveryFindingKind Kind, string Where, string Detail, IReadOnlyList<long> Blocks);

/// <summary>What kind of thing a recovery found.</summary>
public enum RecoveryFindingKind
{
    /// <summary>The last log record is incomplete: a crash in the middle of an append that nobody was told of. Rolled back.</summary>
    TornTail,

    /// <summary>A log record fails its checks although it was once complete, is missing, or is out of sequence.</summary>
    CorruptLog,

    /// <summary>The log ends in records of another store (left behind by an unfinished deletion); they are not part of the history.</summary>
    ForeignLog,

    /// <summary>An extent, or a block in it, fails its checks.</summary>
    CorruptExtent,

    /// <summary>The head is missing or fails its checks; its copy is read instead, so nothing is lost. A repair writes it anew.</summary>
    CorruptHead,
}

/// <summary>What a recovery read, found and did.</summary>
/// <param name="Mode">How much was verified.</param>
/// <param name="Position">Where the history stands after recovery.</param>
/// <param name="Extents">Extents read.</param>
/// <param name="LogRecords">Log records applied.</param>
/// <param name="RolledBack">Log records behind the end of the history, the bad one included, to be removed by the leader.</param>
/// <param name="Findings">What was wrong; empty for a clean store.</param>
public sealed record RecoveryReport(
    RecoveryMode Mode, Position Position, int Extents, int LogRecords, int RolledBack, IReadOnlyList<RecoveryFinding> Findings)
{
    /// <summary>Whether something other than a crash's ordinary left-overs was found.</summary>
    public bool IsCorrupt => Findings.Any(f => f.Kind is RecoveryFindingKind.CorruptLog or RecoveryFindingKind.CorruptExtent or RecoveryFindingKind.CorruptHead);

    /// <summary>The report in words, with what to do.</summary>
    public string Describe()
    {
        if (Findings.Count == 0) return string.Create(CultureInfo.InvariantCulture, $"The store is sound at marker {Position.Marker}.");
        var found = string.Join("; ", Findings.Select(f => $"{f.Where}: {f.Detail}"));
        if (!IsCorrupt) return string.Create(CultureInfo.InvariantCulture, $"The store is sound at marker {Position.Marker}; rolled back: {found}.");
        return string.Create(CultureInfo.InvariantCulture,
            $"The store is damaged ({found}). It can be read up to marker {Position.Marker}. Export what is readable with CorruptionAction.Report, open with CorruptionAction.Repair to drop the damaged part, or delete the database.");
    }
}
