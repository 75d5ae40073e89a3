using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace DataSync.Vfs.Native;

/// <summary>
/// The VFS for a native SQLite: each callback finds the C# file and calls it. No callback throws; the files do not, and the
/// few lines here cannot. Sleeping, randomness and extensions are those of SQLite's default VFS.
/// </summary>
internal static unsafe partial class NativeVfs
{
    private const string Library = "e_sqlite3";
    private const int MaxPathName = 512;

    // SQLITE_FCNTL_FILE_POINTER and SQLITE_FCNTL_PDB: https://www.sqlite.org/c3ref/c_fcntl_begin_atomic_write.html
    private const int GiveFile = 7, GiveConnection = 30;

    private static readonly Lock Gate = new();
    private static NativeVfsStruct* _vfs;
    private static NativeMethods* _methods;

    // So that the rows of one table, one after the other, cost one comparison each. A transaction may move between threads, and another one may begin on this.
    private static int _transactions;
    [ThreadStatic]
    private static nint _lastTable;
    [ThreadStatic]
    private static int _lastTransaction;

    /// <summary>Registers the VFS with SQLite; once for the process.</summary>
    public static int Register()
    {
        lock (Gate)
        {
            if (_vfs != null) return SqliteResult.Ok;
            var system = Find(null);
            if (system == null) return SqliteResult.Error;
            _methods = (NativeMethods*)NativeMemory.AllocZeroed((nuint)sizeof(NativeMethods));
            *_methods = CreateMethods();
            var vfs = (NativeVfsStruct*)NativeMemory.AllocZeroed((nuint)sizeof(NativeVfsStruct));
            *vfs = CreateVfs(system);
            var result = Register(vfs, 0);
            if (result == SqliteResult.Ok) _vfs = vfs;
            return result;
        }
    }

    private static NativeVfsStruct CreateVfs(NativeVfsStruct* system) => new()
    {
        Version = 2,
        FileSize = sizeof(NativeFile),
        MaxPathName = MaxPathName,
        Name = (byte*)Marshal.StringToCoTaskMemUTF8(BlockVfs.Name),
        AppData = system,
        Open = &Open,
        Delete = &Delete,
        Access = &Access,
        FullPathName = &FullPathName,
        DlOpen = system->DlOpen,
        DlError = system->DlError,
        DlSym = system->DlSym,
        DlClose = system->DlClose,
        Randomness = system->Randomness,
        Sleep = system->Sleep,
        CurrentTime = &CurrentTime,
        GetLastError = &GetLastError,
        CurrentTimeInt64 = &CurrentTimeInt64,
    };

    private static NativeMethods CreateMethods() => new()
    {
        Version = 1,
        Close = &Close,
        Read = &Read,
        Write = &Write,
        Truncate = &Truncate,
        Sync = &Sync,
        FileSize = &FileSize,
        Lock = &Raise,
        Unlock = &Lower,
        CheckReservedLock = &CheckReservedLock,
        FileControl = &FileControl,
        SectorSize = &SectorSize,
        DeviceCharacteristics = &DeviceCharacteristics,
    };

    [UnmanagedCallersOnly]
    private static int Open(NativeVfsStruct* vfs, byte* name, NativeFile* file, int flags, int* outFlags)
    {
        file->Methods = null;
        try
        {
            if (BlockVfs.Shared.Open(Marshal.PtrToStringUTF8((nint)name), (SqliteOpenFlags)flags, out var result) is not { } opened) return result;
            file->Handle = GCHandle.ToIntPtr(GCHandle.Alloc(opened));
        }
        catch (Exception e)
        {
            return VfsFailure.Report(e, SqliteResult.CantOpen);
        }

        file->Methods = _methods;
        if (outFlags != null) *outFlags = flags;
        return SqliteResult.Ok;
    }

    [UnmanagedCallersOnly]
    private static int Delete(NativeVfsStruct* vfs, byte* name, int syncFolder) => BlockVfs.Shared.Delete(Marshal.PtrToStringUTF8((nint)name) ?? "");

    [UnmanagedCallersOnly]
    private static int Access(NativeVfsStruct* vfs, byte* name, int flags, int* result)
    {
        *result = BlockVfs.Shared.Exists(Marshal.PtrToStringUTF8((nint)name) ?? "") ? 1 : 0;
        return SqliteResult.Ok;
    }

    [UnmanagedCallersOnly]
    private static int FullPathName(NativeVfsStruct* vfs, byte* name, int room, byte* result)
    {
        var length = MemoryMarshal.CreateReadOnlySpanFromNullTerminated(name).Length + 1;
        if (length > room) return SqliteResult.CantOpen;
        Unsafe.CopyBlock(result, name, (uint)length);
        return SqliteResult.Ok;
    }

    [UnmanagedCallersOnly]
    private static int CurrentTime(NativeVfsStruct* vfs, double* days)
    {
        *days = BlockVfs.Shared.GetJulianDayMs() / 86_400_000.0;
        return SqliteResult.Ok;
    }

    [UnmanagedCallersOnly]
    private static int CurrentTimeInt64(NativeVfsStruct* vfs, long* ms)
    {
        *ms = BlockVfs.Shared.GetJulianDayMs();
        return SqliteResult.Ok;
    }

    [UnmanagedCallersOnly]
    private static int GetLastError(NativeVfsStruct* vfs, int room, byte* text) => 0;

    [UnmanagedCallersOnly]
    private static int Close(NativeFile* file)
    {
        var result = file->File.Close();
        GCHandle.FromIntPtr(file->Handle).Free();
        return result;
    }

    [UnmanagedCallersOnly]
    private static int Read(NativeFile* file, byte* target, int size, long offset) => file->File.Read(offset, new(target, size));

    [UnmanagedCallersOnly]
    private static int Write(NativeFile* file, byte* source, int size, long offset) => file->File.Write(offset, new(source, size));

    [UnmanagedCallersOnly]
    private static int Truncate(NativeFile* file, long size) => file->File.Truncate(size);

    [UnmanagedCallersOnly]
    private static int Sync(NativeFile* file, int flags) => SqliteResult.Ok;

    [UnmanagedCallersOnly]
    private static int FileSize(NativeFile* file, long* size)
    {
        *size = file->File.Size;
        return SqliteResult.Ok;
    }

    [UnmanagedCallersOnly]
    private static int Raise(NativeFile* file, int level) => file->File.TryLock((LockLevel)level);

    [UnmanagedCallersOnly]
    private static int Lower(NativeFile* file, int level)
    {
        Interlocked.Increment(ref _transactions);
        return file->File.Unlock((LockLevel)level);
    }

    [UnmanagedCallersOnly]
    private static int CheckReservedLock(NativeFile* file, int* result)
    {
        *result = file->File.IsReserved ? 1 : 0;
        return SqliteResult.Ok;
    }

    [UnmanagedCallersOnly]
    private static int FileControl(NativeFile* file, int operation, void* argument)
    {
        if (operation == GiveConnection)
        {
            Watch(*(nint*)argument);
            return SqliteResult.Ok;
        }

        if (operation == (int)SqliteFileControl.CommitPhaseTwo) Interlocked.Increment(ref _transactions);
        return file->File.Control((SqliteFileControl)operation);
    }

    /// <summary>Has a connection tell which tables its transactions change: the file of the database is told.</summary>
    /// <param name="db">The connection; of several databases that it has attached, each file hears of its own.</param>
    internal static void Watch(nint db)
    {
        try
        {
            delegate* unmanaged<void*, nint, int, byte*, byte*, long, long, void> callback = &PreUpdate;
            _ = SetPreUpdateHook(db, (nint)callback, 0);
        }
        catch (EntryPointNotFoundException)
        {
            // An app may bring an e_sqlite3 without it. Then nobody knows which tables a commit changed.
        }
    }

    /// <summary>Tells the file of a database that rows of one of its tables change; false where it is none of DataSync's.</summary>
    internal static bool Touch(nint db, byte* schema, byte* table)
    {
        NativeFile* file = null;
        if (ControlFile(db, (nint)schema, GiveFile, (nint)(&file)) != SqliteResult.Ok || file == null || file->Methods != _methods) return false;
        file->File.Touch(Marshal.PtrToStringUTF8((nint)table)!);
        return true;
    }

    [UnmanagedCallersOnly]
    private static void PreUpdate(void* state, nint db, int operation, byte* schema, byte* table, long oldRow, long newRow)
    {
        var transaction = Volatile.Read(ref _transactions);
        if ((nint)table == _lastTable && transaction == _lastTransaction) return;
        if (!Touch(db, schema, table)) return;
        (_lastTable, _lastTransaction) = ((nint)table, transaction);
    }

    [UnmanagedCallersOnly]
    private static int SectorSize(NativeFile* file) => VfsFile.SectorSize;

    [UnmanagedCallersOnly]
    private static int DeviceCharacteristics(NativeFile* file) => VfsFile.DeviceCharacteristics;

    // SQLitePCLRaw has none.
    [LibraryImport(Library, EntryPoint = "sqlite3_set_last_insert_rowid")]
    internal static partial void SetLastInsertRowId(nint db, long id);

    [LibraryImport(Library, EntryPoint = "sqlite3_preupdate_hook")]
    private static partial nint SetPreUpdateHook(nint db, nint callback, nint state);

    [LibraryImport(Library, EntryPoint = "sqlite3_file_control")]
    private static partial int ControlFile(nint db, nint schema, int operation, nint argument);

    [LibraryImport(Library, EntryPoint = "sqlite3_vfs_find")]
    private static partial NativeVfsStruct* Find(byte* name);

    [LibraryImport(Library, EntryPoint = "sqlite3_vfs_register")]
    private static partial int Register(NativeVfsStruct* vfs, int asDefault);
}
