using DataSync.Vfs.Native;
using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace DataSync.Vfs;

/// <summary>SQLite outside the browser: the app's own native library, from the package SQLitePCLRaw.bundle_e_sqlite3.</summary>
internal static class SqliteNative
{
    /// <summary>
    /// Registers the VFS <see cref="BlockVfs.Name"/>; SQLite's default VFS stays what it is. May be called again, from any thread.
    /// <see cref="DataSyncFactory"/> calls it.
    /// </summary>
    /// <exception cref="PlatformNotSupportedException">In a browser: use <see cref="SqliteWasm"/>.</exception>
    /// <exception cref="DllNotFoundException">The app has no native SQLite: add SQLitePCLRaw.bundle_e_sqlite3.</exception>
    /// <exception cref="SqliteException">SQLite refused the VFS.</exception>
    public static void Initialize()
    {
        if (OperatingSystem.IsBrowser()) throw new PlatformNotSupportedException("In a browser, use SqliteWasm.");

        // Registration initialises the library, which must not be configured afterwards: be sure that the provider did so. The
        // first connection is what makes Microsoft.Data.Sqlite look for it.
        new SqliteConnection().Dispose();
        raw.sqlite3_initialize();
        SqliteException.ThrowExceptionForRC(NativeVfs.Register(), null);
    }
}
