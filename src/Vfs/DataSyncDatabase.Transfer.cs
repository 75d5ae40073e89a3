using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

// Whole files in and out.
public sealed partial class DataSyncDatabase
{
    private const int ChunkSize = Extent.DataSize;

    /// <summary>
    /// Writes the database, as it stands durable at this moment, to a stream as a SQLite file.
    /// </summary>
    /// <param name="target">Receives the file; not closed.</param>
    /// <param name="progress">Hears of every 256 KiB.</param>
    /// <param name="cancellationToken">Stops writing.</param>
    /// <exception cref="StorageException">The database has stopped.</exception>
    public async Task ExportAsync(Stream target, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(target);
        ObjectDisposedException.ThrowIf(_closed, this);
        _pipeline.ThrowIfUnreadable();
        ThrowIfWithinWork();
        cancellationToken.ThrowIfCancellationRequested();
        if (_pipeline.Fault is null) await ForceSyncAsync(cancellationToken).ConfigureAwait(false);
        await _interactive.WaitAsync(cancellationToken).ConfigureAwait(false);

        // One copy in memory at one moment, so that writes go on while it trickles out.
        await _pipeline.Extents.PinAllAsync(cancellationToken).ConfigureAwait(false);
        List<byte[]> chunks;
        try
        {
            chunks = CopyImage();
        }
        finally
        {
            _pipeline.Extents.UnpinAll();
        }

        var total = chunks.Sum(c => (long)c.Length);
        long done = 0;
        foreach (var chunk in chunks)
        {
            await target.WriteAsync(chunk, cancellationToken).ConfigureAwait(false);
            progress?.Report(new(done += chunk.Length, total));
        }

        await target.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>
    /// Replaces the whole database, in every tab, by a SQLite file, in one commit. The file is checked first, its header as soon as it
    /// was read, the rest by <c>PRAGMA quick_check</c>; until then nothing is changed. Its text must be UTF-8. A file in WAL mode is taken
    /// without its <c>-wal</c> file (event 3004), so checkpoint it first; one that holds nothing without it is refused.
    /// </summary>
    /// <param name="source">The file, from its beginning.</param>
    /// <param name="progress">Hears of every 256 KiB that was read.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <exception cref="DatabaseImportException">
    /// It is no SQLite database or an encrypted one, is UTF-16, cut short or added to, or damaged; the message says which, and what to do.
    /// Nothing was changed.
    /// </exception>
    /// <exception cref="CommitTooLargeException">It does not fit into one commit. Nothing was changed.</exception>
    /// <exception cref="StorageException">It could not be made durable, for instance for lack of room. Nothing was changed.</exception>
    public async Task ImportAsync(Stream source, IProgress<TransferProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ThrowIfUnusable();
        ThrowIfWithinWork();
        cancellationToken.ThrowIfCancellationRequested();
        var imported = await ImportedFile.ReadAsync(source, _options.Pipeline.MaxCommitBytes, progress, cancellationToken).ConfigureAwait(false);
        if (imported.WasInWalMode) Log.ImportedWithoutWal(_logger, Name);
        await ReplaceAsync(() => Replace(imported), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>What the database takes, here and of the origin's quota.</summary>
    public async Task<StorageInfo> GetStorageInfoAsync(CancellationToken cancellationToken = default)
    {
        ThrowIfUnusable();
        cancellationToken.ThrowIfCancellationRequested();
        var size = _pipeline.Storage.Size;
        var extents = (int)((size + Extent.DataSize - 1) / Extent.DataSize);
        var estimate = OperatingSystem.IsBrowser() ? await BrowserStorage.EstimateAsync(cancellationToken).ConfigureAwait(false) : default;
        return new(size, extents, _pipeline.LogRecords, _pipeline.LogBytes, estimate.UsageBytes, estimate.QuotaBytes, estimate.IsPersistent);
    }

    private List<byte[]> CopyImage()
    {
        var storage = _pipeline.Storage;
        var chunks = new List<byte[]>();
        for (long at = 0; at < storage.Size; at += ChunkSize)
        {
            var chunk = new byte[Math.Min(ChunkSize, storage.Size - at)];
            storage.Read(at, chunk);
            chunks.Add(chunk);
        }

        return chunks;
    }

    /// <summary>Runs what replaces the whole database, with the write turn, until it is committed or fails.</summary>
    private async Task ReplaceAsync(Action replace, CancellationToken cancellationToken)
    {
        using var admission = AutoSync.Admit();
        using var loading = NewLoading();
        for (var attempt = 1; ; attempt++)
        {
            using var slot = await AutoSync.BeginWriteAsync(exclusive: true, cancellationToken).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            try
            {
                replace();
            }
            catch (Exception) when (loading.HasMissed)
            {
                slot.Dispose();
                await loading.LoadAsync(cancellationToken).ConfigureAwait(false);
                attempt--;
                continue;
            }

            slot.Dispose();
            if (!(await slot.Outcome.ConfigureAwait(false)).IsStale) return;
            if (attempt == _options.MaxAttempts) throw new StaleCommitException(attempt);
        }
    }

    // As one more connection of this tab: SQLite's own locks keep the others out meanwhile.
    private void Replace(ImportedFile imported, CommitId? commit = null)
    {
        var file = BlockVfs.Shared.Open(Name, SqliteOpenFlags.MainDatabase | SqliteOpenFlags.ReadWrite, out var opened)
            ?? throw new SqliteException($"The database could not be opened for the import: {VfsFailure.Last}", opened);
        try
        {
            Require(file.TryLock(LockLevel.Shared));
            Require(file.TryLock(LockLevel.Reserved));
            Require(file.TryLock(LockLevel.Exclusive));
            _pipeline.Storage.NextCommit = commit is { } id ? new(id) : null;
            long at = 0;
            var present = new byte[ImportedFile.HeaderSize];
            file.Read(0, present);
            foreach (var chunk in imported.Chunks)
            {
                var bytes = at == 0 ? imported.Continue(present) : chunk;
                Require(file.Write(at, bytes));
                at += bytes.Length;
            }

            Require(file.Truncate(at));
            Require(file.Control(SqliteFileControl.CommitPhaseTwo));
        }
        finally
        {
            _pipeline.Storage.NextCommit = null;
            file.Close();
        }
    }

    private static void Require(int result)
    {
        if (result == SqliteResult.Ok) return;
        throw new SqliteException($"The import could not take place of the database: {VfsFailure.Last ?? "a connection of this tab is using it"}. Finish reading here, then try again.", result & 0xFF, result);
    }
}
