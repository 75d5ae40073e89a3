using System.Runtime.InteropServices;

namespace DataSync.Vfs.Native;

/// <summary>SQLite's <c>sqlite3_vfs</c>, version 2.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeVfsStruct
{
    public int Version, FileSize, MaxPathName;
    public NativeVfsStruct* Next;
    public byte* Name;
    public void* AppData;
    public delegate* unmanaged<NativeVfsStruct*, byte*, NativeFile*, int, int*, int> Open;
    public delegate* unmanaged<NativeVfsStruct*, byte*, int, int> Delete;
    public delegate* unmanaged<NativeVfsStruct*, byte*, int, int*, int> Access;
    public delegate* unmanaged<NativeVfsStruct*, byte*, int, byte*, int> FullPathName;
    public delegate* unmanaged<NativeVfsStruct*, byte*, void*> DlOpen;
    public delegate* unmanaged<NativeVfsStruct*, int, byte*, void> DlError;
    public delegate* unmanaged<NativeVfsStruct*, void*, byte*, void*> DlSym;
    public delegate* unmanaged<NativeVfsStruct*, void*, void> DlClose;
    public delegate* unmanaged<NativeVfsStruct*, int, byte*, int> Randomness;
    public delegate* unmanaged<NativeVfsStruct*, int, int> Sleep;
    public delegate* unmanaged<NativeVfsStruct*, double*, int> CurrentTime;
    public delegate* unmanaged<NativeVfsStruct*, int, byte*, int> GetLastError;
    public delegate* unmanaged<NativeVfsStruct*, long*, int> CurrentTimeInt64;
}

/// <summary>SQLite's <c>sqlite3_io_methods</c>, version 1: no shared memory, so no WAL; no memory mapping.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeMethods
{
    public int Version;
    public delegate* unmanaged<NativeFile*, int> Close;
    public delegate* unmanaged<NativeFile*, byte*, int, long, int> Read;
    public delegate* unmanaged<NativeFile*, byte*, int, long, int> Write;
    public delegate* unmanaged<NativeFile*, long, int> Truncate;
    public delegate* unmanaged<NativeFile*, int, int> Sync;
    public delegate* unmanaged<NativeFile*, long*, int> FileSize;
    public delegate* unmanaged<NativeFile*, int, int> Lock;
    public delegate* unmanaged<NativeFile*, int, int> Unlock;
    public delegate* unmanaged<NativeFile*, int*, int> CheckReservedLock;
    public delegate* unmanaged<NativeFile*, int, void*, int> FileControl;
    public delegate* unmanaged<NativeFile*, int> SectorSize;
    public delegate* unmanaged<NativeFile*, int> DeviceCharacteristics;
}

/// <summary>SQLite's <c>sqlite3_file</c>, with the handle of our own behind it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NativeFile
{
    public NativeMethods* Methods;
    public nint Handle;

    public readonly VfsFile File => (VfsFile)GCHandle.FromIntPtr(Handle).Target!;
}
