using System.Runtime.InteropServices;
using DataSync.Storage;
using DataSync.Vfs;
using Spectre.Console;

namespace DataSync.Cli;

internal static class TransferCommands
{
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
        var imported = await ReadAsync(file, session.CancellationToken).ConfigureAwait(false);
        await session.LeadAsync().ConfigureAwait(false);
        var recovered = await report.WithProgressAsync("Reading", progress => session.LoadAsync(CorruptionAction.Fail, progress).AsTask()).ConfigureAwait(false);
        recovered = await Recovery.RepairAsync(session.Store, session.Fence, recovered, session.CancellationToken).ConfigureAwait(false);
        using var image = recovered.Image;
        var commit = MakeCommit(session, image, imported);
        await session.Store.AppendAsync(session.Fence, [commit], session.CancellationToken).ConfigureAwait(false);
        Write(report, "Imported", new(file.FullName, imported.Length, commit.Marker));
        return ExitCode.Ok;
    }

    private static async Task<ImportedFile> ReadAsync(FileInfo file, CancellationToken cancellationToken)
    {
        SQLitePCL.Batteries_V2.Init();
        SqliteNative.Initialize();
        var stream = file.OpenRead();
        await using (stream.ConfigureAwait(false))
        {
            var imported = await ImportedFile.ReadAsync(stream, CommitRecord.MaxBytes, progress: null, cancellationToken).ConfigureAwait(false);
            return !imported.WasInWalMode || new FileInfo(file.FullName + "-wal") is not { Exists: true, Length: > 0 } wal
                ? imported
                : throw new DatabaseImportException($"Nothing was imported: commits may lie in {wal.FullName} only. Close what has the database open, or run PRAGMA wal_checkpoint(TRUNCATE) on it first.");
        }
    }

    private static CommitRecord MakeCommit(StoreSession session, BlockImage image, ImportedFile imported)
    {
        var count = (int)((imported.Length + Extent.BlockSize - 1) / Extent.BlockSize);
        var blocks = Enumerable.Range(0, count).Select(id => (uint)id).ToArray();
        var freed = Enumerable.Range(0, image.ExtentCount)
            .Where(index => image.Find(index) is not null)
            .SelectMany(index => Enumerable.Range(0, Extent.BlockCount).Where(block => image.Find(index)!.IsPresent(block)).Select(block => (uint)(index * Extent.BlockCount + block)))
            .Where(id => id >= count).ToArray();
        var padded = new byte[count * Extent.BlockSize];
        for (var i = 0; i < imported.Chunks.Count; i++) imported.Chunks[i].CopyTo(padded, i * Extent.DataSize);
        imported.Continue(image.Find(0) is { } first ? first.Block(0) : new byte[ImportedFile.HeaderSize]).CopyTo(padded, 0);
        var pinned = GCHandle.Alloc(padded, GCHandleType.Pinned);
        try
        {
            var commit = CommitRecord.Seal(
                CommitId.New(), image.Position, session.Self, TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds(), imported.Length, session.Head.Checksum,
                blocks, freed, id => pinned.AddrOfPinnedObject() + (nint)id * Extent.BlockSize);
            commit.Stamp(session.Fence);
            return commit;
        }
        finally
        {
            pinned.Free();
        }
    }

    private static void Write(Report report, string done, TransferResult result) => report.Write(
        result, ResultJson.Default.TransferResult,
        console => console.Write(new Text(FormattableString.Invariant($"{done}: {result.File}, {result.Bytes} bytes, marker {result.Marker}.\n"))));
}
