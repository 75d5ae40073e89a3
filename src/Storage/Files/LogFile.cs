namespace DataSync.Storage;

/// <summary>One record in a log file.</summary>
/// <param name="Marker">The marker that its place in the file gives it.</param>
/// <param name="Id">Its commit; none when its header fails its checksum.</param>
/// <param name="Offset">Where it starts in the file.</param>
/// <param name="Length">Its bytes.</param>
internal readonly record struct LogEntry(long Marker, CommitId Id, int Offset, int Length);

/// <summary>
/// One file of the log: the commits of one append, one after the other, named by the first one's marker. So a group of
/// commits appears with one rename, all or none, and costs one file. Records tell their own length; a damaged header is
/// stepped over by looking for the next one that passes its checksum.
/// </summary>
internal sealed class LogFile(long first, byte[] bytes)
{
    public long First => first;

    public byte[] Bytes => bytes;

    /// <summary>The records in order; one that covers everything where nothing can be read.</summary>
    public IReadOnlyList<LogEntry> Entries { get; } = Split(first, bytes);

    public byte[] Read(in LogEntry entry) => entry.Length == bytes.Length ? bytes : bytes.AsSpan(entry.Offset, entry.Length).ToArray();

    private static List<LogEntry> Split(long first, ReadOnlySpan<byte> bytes)
    {
        var entries = new List<LogEntry>();
        var (marker, offset) = (first, 0);
        do
        {
            var rest = bytes[offset..];
            if (CommitRecord.TryReadHeader(rest, out _, out var id, out var length) && length <= rest.Length)
            {
                entries.Add(new(marker++, id, offset, (int)length));
                offset += (int)length;
                continue;
            }

            var (next, skip) = FindNext(marker, rest);
            entries.Add(new(marker, CommitId.None, offset, skip));
            (marker, offset) = (next, offset + skip);
        }
        while (offset < bytes.Length);
        return entries;
    }

    private static (long Marker, int Skip) FindNext(long damaged, ReadOnlySpan<byte> rest)
    {
        // Records are a multiple of eight bytes long.
        for (var skip = 8; skip <= rest.Length - CommitRecord.MinSize; skip += 8)
        {
            if (CommitRecord.TryReadHeader(rest[skip..], out var marker, out _, out _) && marker > damaged) return (marker, skip);
        }

        return (damaged + 1, rest.Length);
    }
}
