using System.Reflection;
using System.Runtime.InteropServices.JavaScript;
using DataSync.Vfs.Browser;
using SQLitePCL;

namespace DataSync.Vfs;

/// <summary>SQLite in the browser: the official WebAssembly build, loaded beside .NET.</summary>
public static class SqliteWasm
{
    private static Task? _initialization;
    private static bool _isProvider;

    /// <summary>The version of SQLite that is shipped, such as <c>3.54.1</c>.</summary>
    internal static string Version { get; } = typeof(SqliteWasm).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(data => data.Key == "SqliteVersion").Value!;

    /// <summary>Whether it can be used.</summary>
    internal static bool IsLoaded { get; private set; }

    /// <summary>
    /// Makes it SQLitePCLRaw's provider for good, in a browser. Until it is loaded it only answers which version it is: EF Core asks before it opens anything.
    /// </summary>
    internal static void Provide()
    {
        if (_isProvider || !OperatingSystem.IsBrowser()) return;
        _isProvider = true;
        raw.SetProvider(SqliteWasmProvider.Instance);

        // A bundle in the app would put its native provider in this one's place when the first connection is made.
        raw.FreezeProvider();
    }

    /// <summary>
    /// For design time, where nothing is opened: EF Core asks for the version all the same, also where the project brings no native SQLite. A bundle that is
    /// there takes this one's place when the first connection is made.
    /// </summary>
    internal static void ProvideVersion()
    {
        Provide();
        if (_isProvider) return;
        try
        {
            raw.sqlite3_libversion_number();
        }
#pragma warning disable CA1031 // SQLitePCLRaw says with a plain Exception that it has no provider.
        catch (Exception)
#pragma warning restore CA1031
        {
            raw.SetProvider(SqliteWasmProvider.Instance);
        }
    }

    /// <summary>Bytes of memory that SQLite's module has taken from the browser; 0 before it is loaded.</summary>
    public static long HeapBytes => _initialization is { IsCompletedSuccessfully: true } ? (long)SqliteImports.HeapSize() : 0;

    /// <summary>
    /// Loads SQLite, registers the VFS <see cref="BlockVfs.Name"/> as the default one, and makes it SQLitePCLRaw's provider for
    /// good, so that Microsoft.Data.Sqlite, Dapper and EF Core work. Calling it again returns the same task, unless it failed.
    /// </summary>
    /// <exception cref="PlatformNotSupportedException">Not in a browser.</exception>
    /// <exception cref="JSException">SQLite's files could not be loaded.</exception>
    public static Task InitializeAsync()
    {
        if (!OperatingSystem.IsBrowser()) throw new PlatformNotSupportedException("SqliteWasm runs in a browser only.");
        if (_initialization is null or { IsFaulted: true } or { IsCanceled: true }) _initialization = LoadAsync();
        return _initialization;
    }

    private static async Task LoadAsync()
    {
        // Relative to _framework/dotnet.runtime.js.
        await JSHost.ImportAsync(SqliteImports.Module, "../_content/DataSync.Vfs/vfs.js").ConfigureAwait(false);
        await SqliteImports.Initialize(BlockVfs.Name).ConfigureAwait(false);
        Provide();
        IsLoaded = true;

        // What runs for the first time is slow where .NET is interpreted: better now, while the store is still being read.
        using var first = new CachedConnection(":memory:", null);
    }
}
