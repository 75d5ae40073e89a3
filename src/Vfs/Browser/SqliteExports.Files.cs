using System.Runtime.InteropServices.JavaScript;

namespace DataSync.Vfs.Browser;

/// <summary>
/// What SQLite calls in C#, by way of <c>files.js</c>. No member throws: an exception must not unwind SQLite's frames. Files
/// are known by a number; addresses are ints of .NET's memory, offsets doubles (exact below 2^53).
/// </summary>
internal static unsafe partial class SqliteExports
{
    private static VfsFile?[] _files = new VfsFile?[16];
    private static NativeBuffer _buffer = new();

    [JSExport]
    internal static int GetDeviceCharacteristics() => VfsFile.DeviceCharacteristics;

    /// <summary>Where the number of files beside the databases is kept.</summary>
    [JSExport]
    internal static int GetSideFiles() => (int)BlockVfs.Shared.SideFilesAddress;

    [JSExport]
    internal static int GetSectorSize() => VfsFile.SectorSize;

    [JSExport]
    internal static double GetJulianDayMs() => BlockVfs.Shared.GetJulianDayMs();

    /// <summary>A buffer for bytes that do not lie together; valid until the next call of any kind.</summary>
    [JSExport]
    internal static int GetBuffer(int size) => (int)_buffer.Reserve(size);

    /// <summary>Opens a file; its number, or a negative result code.</summary>
    [JSExport]
    internal static int Open(string? name, int flags)
    {
        try
        {
            if (BlockVfs.Shared.Open(name, (SqliteOpenFlags)flags, out var result) is not { } file) return -result;
            var id = Array.IndexOf(_files, null, 1);
            if (id < 0)
            {
                id = _files.Length;
                Array.Resize(ref _files, id * 2);
            }

            _files[id] = file;
            return id;
        }
        catch (Exception e)
        {
            return -VfsFailure.Report(e, SqliteResult.CantOpen);
        }
    }

    [JSExport]
    internal static int Close(int id)
    {
        var file = _files[id]!;
        _files[id] = null;
        return file.Close();
    }

    [JSExport]
    internal static int GetReadAddress(int id, double offset, int size) => (int)_files[id]!.GetReadAddress((long)offset, size);

    [JSExport]
    internal static int GetWriteAddress(int id, double offset, int size) => (int)_files[id]!.GetWriteAddress((long)offset, size);

    /// <summary>Reads into the buffer.</summary>
    [JSExport]
    internal static int Read(int id, double offset, int size) => _files[id]!.Read((long)offset, new(_buffer.Address, size));

    /// <summary>Writes from the buffer.</summary>
    [JSExport]
    internal static int Write(int id, double offset, int size) => _files[id]!.Write((long)offset, new(_buffer.Address, size));

    [JSExport]
    internal static int Truncate(int id, double size) => _files[id]!.Truncate((long)size);

    [JSExport]
    internal static double GetSize(int id) => _files[id]!.Size;

    /// <summary>Where the state of a file's kept SHARED lock is; 0: it keeps none.</summary>
    [JSExport]
    internal static int GetShareAddress(int id) => (int)_files[id]!.ShareAddress;

    [JSExport]
    internal static int Lock(int id, int level) => _files[id]!.TryLock((LockLevel)level);

    [JSExport]
    internal static int Unlock(int id, int level) => _files[id]!.Unlock((LockLevel)level);

    [JSExport]
    internal static int IsReserved(int id) => _files[id]!.IsReserved ? 1 : 0;

    [JSExport]
    internal static int Control(int id, int operation) => (SqliteFileControl)operation == SqliteFileControl.CommitPhaseTwo && CollationFailures.Count > 0
        ? VfsFailure.Report(SqliteResult.IoErrorCommit, "A collation threw.") // its statement fails, so nothing of it may stay
        : _files[id]!.Control((SqliteFileControl)operation);

    /// <summary>Rows of a table are about to change.</summary>
    [JSExport]
    internal static void Touch(int id, string table) => _files[id]!.Touch(table);

    [JSExport]
    internal static int Delete(string name) => BlockVfs.Shared.Delete(name);

    [JSExport]
    internal static int Exists(string name) => BlockVfs.Shared.Exists(name) ? 1 : 0;
}
