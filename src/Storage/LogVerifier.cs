using System.Globalization;
using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>Takes log records in order and tells whether each one continues the history.</summary>
internal sealed class LogVerifier(Head head, Position start, bool verifyBlocks)
{
    private Epoch _epoch;

    /// <summary>Where the history stands with the records accepted so far.</summary>
    public Position Position { get; private set; } = start;

    /// <summary>The record when it continues the history; otherwise null and what is wrong with it.</summary>
    public CommitRecord? Accept(in StoredLog stored, out RecoveryFinding? finding)
    {
        var record = CommitRecord.Parse(stored.Bytes, verifyBlocks, out var error);
        var kind = RecoveryFindingKind.CorruptLog;
        if (record is null)
        {
            if (stored.MayBeTorn && CommitRecord.IsCutShort(stored.Bytes)) kind = RecoveryFindingKind.TornTail;
        }
        else if (record.Incarnation != head.Incarnation)
        {
            (kind, error) = (RecoveryFindingKind.ForeignLog, "it belongs to another store");
        }
        else
        {
            error = FindBreak(stored.Marker, record);
        }

        finding = error is null ? null : new(kind, Name(stored.Marker), error, record is null && verifyBlocks ? CommitRecord.FindBadBlocks(stored.Bytes) : []);
        if (error is not null) return null;
        (Position, _epoch) = (record!.Position, record.Epoch);
        return record;
    }

    private string? FindBreak(long key, CommitRecord record)
    {
        if (key != record.Marker) return Text($"it is commit {record.Marker}");
        if (key != Position.Marker + 1) return Text($"commit {Position.Marker + 1} is missing before it");
        if (record.Base != Position) return "it was not built on the commit before it";
        if (record.Epoch < _epoch) return Text($"its epoch {record.Epoch} is lower than the epoch before it");
        return record.Epoch > head.Epoch ? Text($"its epoch {record.Epoch} is higher than the store's") : null;
    }

    private static string Name(long marker) => Text($"log {marker}");

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}

/// <summary>A log record as a store handed it over.</summary>
internal readonly record struct StoredLog(long Marker, byte[] Bytes, bool MayBeTorn);
