using System.Buffers.Binary;
using System.Runtime.InteropServices;
using DataSync.Storage;
using Spectre.Console;

namespace DataSync.Cli;

internal static class TransferCommands
{
    private const int HeaderSize = 100, PageSizeOffset = 16, FormatOffset = 18, ChangeCounterOffset = 24, SchemaCookieOffset = 40, VersionValidForOffset = 92;
    private const long MaxImportBytes = 1 << 30;

    public static async Task<int> ExportAsync(StoreSession session, Report report, FileInfo file, bool replaces, bool acceptsDamage)
    {
        if (file.Exists && !replaces) throw new IOException($"{file.FullName} is there already. Use --force to replace it.");
        var action = acceptsDamage ? CorruptionAction.Report : CorruptionAction.Fail;
        var recovered = await report.WithProgressAsync("Reading", progress => session.LoadAsync(action, progress).AsTask()).ConfigureAwait(false);
        using var image = recovered.Image;

        // Whole or not at all: nobody takes half a file for a database.
        var temporary = file.FullName + ".tmp";
        using (var stream = new FileStream(temporary, FileMode.Create, FileAccess.Write))
        {
            for (long at = 0; at < image.FileSize; at += Extent.DataSize)
            {
                var length = (int)Math.Min(Extent.DataSize, image.FileSize - at);
                if (image.Find((int)(at / Extent.DataSize)) is { } extent) stream.Write(extent.RecordBytes.Slice(Extent.HeaderSize, length));
                else stream.Write(new byte[length]);
            }

            stream.Flush(flushToDisk: true);
        }

        File.Move(temporary, file.FullName, replaces);
        Write(report, "Exported", new(file.FullName, image.FileSize, image.Position.Marker));
        return recovered.Report.IsCorrupt ? ExitCode.Damaged : ExitCode.Ok;
    }

    public static async Task<int> ImportAsync(StoreSession session, Report report, FileInfo file)
    {
        if (!file.Exists) throw new FileNotFoundException($"There is no file {file.FullName}.");
        if (file.Length > MaxImportBytes) throw new IOException($"{file.FullName} has more than {MaxImportBytes} bytes, which do not fit into one commit.");
        var bytes = await File.ReadAllBytesAsync(file.FullName, session.CancellationToken).ConfigureAwait(false);
        CheckHeader(bytes);
        await session.LeadAsync().ConfigureAwait(false);
        var recovered = await report.WithProgressAsync("Reading", progress => session.LoadAsync(CorruptionAction.Fail, progress).AsTask()).ConfigureAwait(false);
        recovered = await Recovery.RepairAsync(session.Store, session.Fence, recovered, session.CancellationToken).ConfigureAwait(false);
        using var image = recovered.Image;
        var commit = MakeCommit(session, image, bytes);
        await session.Store.AppendAsync(session.Fence, [commit], session.CancellationToken).ConfigureAwait(false);
        Write(report, "Imported", new(file.FullName, bytes.Length, commit.Marker));
        return ExitCode.Ok;
    }

    private static CommitRecord MakeCommit(StoreSession session, BlockImage image, byte[] bytes)
    {
        if (image.Find(0) is { } first) RaiseCounters(bytes, first.Block(0));
        var count = (bytes.Length + Extent.BlockSize - 1) / Extent.BlockSize;
        var blocks = Enumerable.Range(0, count).Select(id => (uint)id).ToArray();
        var freed = Enumerable.Range(0, image.ExtentCount)
            .Where(index => image.Find(index) is not null)
            .SelectMany(index => Enumerable.Range(0, Extent.BlockCount).Where(block => image.Find(index)!.IsPresent(block)).Select(block => (uint)(index * Extent.BlockCount + block)))
            .Where(id => id >= count).ToArray();
        var padded = new byte[count * Extent.BlockSize];
        bytes.CopyTo(padded, 0);
        var pinned = GCHandle.Alloc(padded, GCHandleType.Pinned);
        try
        {
            var commit = CommitRecord.Seal(
                CommitId.New(), image.Position, session.Self, TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds(), bytes.Length, session.Head.Checksum,
                blocks, freed, id => pinned.AddrOfPinnedObject() + (nint)id * Extent.BlockSize);
            commit.Stamp(session.Fence);
            return commit;
        }
        finally
        {
            pinned.Free();
        }
    }

    // See https://sqlite.org/fileformat.html, section 1.3.
    private static void CheckHeader(byte[] bytes)
    {
        if (bytes.Length < HeaderSize || !bytes.AsSpan(0, 16).SequenceEqual("SQLite format 3\0"u8))
            throw new IOException("The file is no SQLite database, so nothing was imported.");
        int pageSize = BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(PageSizeOffset));
        if (pageSize == 1) pageSize = 65536;
        if (pageSize < 512 || !System.Numerics.BitOperations.IsPow2(pageSize) || bytes.Length % pageSize != 0)
            throw new IOException("The file's header is damaged, or it is cut short, so nothing was imported.");

        // Taken without its WAL, it must not be in WAL mode: there is none in a store.
        bytes[FormatOffset] = Math.Min(bytes[FormatOffset], (byte)1);
        bytes[FormatOffset + 1] = Math.Min(bytes[FormatOffset + 1], (byte)1);
    }

    // Counters that go on from the present database's, so that every cache of it is dropped.
    private static void RaiseCounters(byte[] bytes, ReadOnlySpan<byte> present)
    {
        foreach (var offset in new[] { ChangeCounterOffset, SchemaCookieOffset })
        {
            var greater = Math.Max(BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(offset)), BinaryPrimitives.ReadUInt32BigEndian(present[offset..]));
            BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(offset), unchecked(greater + 1));
        }

        bytes.AsSpan(ChangeCounterOffset, 4).CopyTo(bytes.AsSpan(VersionValidForOffset));
    }

    private static void Write(Report report, string done, TransferResult result) => report.Write(
        result, ResultJson.Default.TransferResult,
        console => console.Write(new Text(FormattableString.Invariant($"{done}: {result.File}, {result.Bytes} bytes, marker {result.Marker}.\n"))));
}
