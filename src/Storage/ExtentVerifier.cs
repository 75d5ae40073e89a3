using System.Globalization;

namespace DataSync.Storage;

/// <summary>Checks extents as they are read, and makes damaged ones fit to be used for as much as they are worth.</summary>
internal static class ExtentVerifier
{
    /// <summary>An image takes no more: 256 GiB. A greater index is a damaged key.</summary>
    public const int MaxIndex = 1 << 20;

    /// <summary>
    /// What is wrong with an extent, or null. A damaged extent keeps its bytes where they can be its own; its table is
    /// made to match them, with versions so low that log records write their blocks again.
    /// </summary>
    public static RecoveryFinding? Verify(Extent extent, int recordSize, Head head, RecoveryMode mode)
    {
        if (extent.VerifyRecord(head.Incarnation, recordSize) is { } error)
        {
            if (recordSize < Extent.HeaderSize || extent.IsForeign(head.Incarnation) || extent.Index > MaxIndex)
            {
                extent.RecordBytes.Clear();
                return Finding(extent, error + "; all of its blocks are lost", []);
            }

            var unsure = MendTable(extent, head);
            return Finding(extent, error, unsure);
        }

        if (extent.Index > MaxIndex) return Finding(extent, "its place lies beyond any database", []);
        if (mode == RecoveryMode.Skip || (mode == RecoveryMode.Sample && SampleHolds(extent, head))) return null;
        var bad = new List<long>();
        for (var block = 0; block < Extent.BlockCount; block++)
        {
            if (extent.VerifyBlock(block, head.Checksum)) continue;
            bad.Add(Id(extent, block));
            Mend(extent, block, head);
        }

        return bad.Count == 0 ? null : Finding(extent, Describe(bad), bad);
    }

    /// <summary>
    /// What an extent holds of commits behind the end of the history (a checkpoint ran ahead of a log that turned out
    /// damaged), or null. Versions are lowered, so that the commits that come next are not taken for old ones.
    /// </summary>
    public static RecoveryFinding? VerifyVersions(Extent extent, Position end)
    {
        List<long>? ahead = null;
        for (var block = 0; block < Extent.BlockCount; block++)
        {
            if (extent[block].Version <= end.Marker) continue;
            (ahead ??= []).Add(Id(extent, block));
            extent[block] = extent[block] with { Version = end.Marker };
        }

        return ahead is null ? null : Finding(extent, "it holds blocks of commits that are lost", ahead);
    }

    private static bool SampleHolds(Extent extent, Head head)
    {
        // Another block after each checkpoint, so that in time all are looked at.
        var start = (int)((extent.Index + head.Checkpoint.Marker) % Extent.BlockCount);
        for (var i = 0; i < Extent.BlockCount; i++)
        {
            var block = (start + i) % Extent.BlockCount;
            if (extent.IsPresent(block)) return extent.VerifyBlock(block, head.Checksum);
        }

        return true;
    }

    private static List<long> MendTable(Extent extent, Head head)
    {
        var unsure = new List<long>();
        for (var block = 0; block < Extent.BlockCount; block++)
        {
            var holds = extent.IsPresent(block) && extent.VerifyBlock(block, head.Checksum);
            if (holds)
            {
                extent[block] = extent[block] with { Version = ToKnown(extent[block].Version, head) };
            }
            else if (extent.IsPresent(block) || extent.Block(block).ContainsAnyExcept((byte)0))
            {
                unsure.Add(Id(extent, block));
                extent.Presence |= 1UL << block;
                Mend(extent, block, head);
            }
            else
            {
                extent[block] = default;
            }
        }

        return unsure;
    }

    private static void Mend(Extent extent, int block, Head head)
    {
        var metadata = extent[block] with { Version = ToKnown(extent[block].Version, head) };
        if (metadata.IsPresent) metadata = metadata with { Checksum = Checksum.Compute(head.Checksum, extent.Block(block)) };
        else extent.Block(block).Clear();
        extent[block] = metadata;
    }

    private static long ToKnown(long version, Head head) => Math.Clamp(version, 0, head.Checkpoint.Marker);

    private static long Id(Extent extent, int block) => (long)extent.Index * Extent.BlockCount + block;

    private static string Describe(List<long> blocks) => blocks.Count == 1
        ? string.Create(CultureInfo.InvariantCulture, $"block {blocks[0]} fails its checksum")
        : string.Create(CultureInfo.InvariantCulture, $"{blocks.Count} blocks from {blocks[0]} to {blocks[^1]} fail their checksums");

    private static RecoveryFinding Finding(Extent extent, string detail, List<long> blocks) =>
        new(RecoveryFindingKind.CorruptExtent, string.Create(CultureInfo.InvariantCulture, $"extent {extent.Index}"), detail, blocks);
}
