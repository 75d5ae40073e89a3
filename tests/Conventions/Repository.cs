using System.Reflection;
using System.Text.Json;
using DataSync.Blazor;
using DataSync.Coordination;
using DataSync.EntityFrameworkCore;
using DataSync.PostgreSql;
using DataSync.Remote;
using DataSync.Server;
using DataSync.Storage;
using DataSync.Vfs;

namespace DataSync.Conventions;

/// <summary>Where the sources are, and what was built of them.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    public static IReadOnlyList<Assembly> Libraries { get; } =
    [
        typeof(TabCoordinator).Assembly, typeof(CommitPipeline).Assembly, typeof(DataSyncDatabase).Assembly, typeof(DataSyncDbContextOptionsExtensions).Assembly, typeof(DataSyncStatus).Assembly,
        typeof(DataSyncPostgres).Assembly, typeof(DataSyncRemote).Assembly, typeof(DataSyncServerOptions).Assembly,
    ];

    /// <summary>The libraries' own source files with an ending.</summary>
    public static IEnumerable<string> Sources(string ending) => Directory
        .EnumerateFiles(Path.Combine(Root, "src"), "*" + ending, SearchOption.AllDirectories)
        .Where(file => !file.Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj" or "node_modules" or "sqlite"));

    /// <summary>What a library serves to the browser, as paths below its wwwroot.</summary>
    public static IReadOnlyList<string> WebAssets(Assembly library)
    {
        var name = library.GetName().Name!;
        var output = Path.GetRelativePath(Path.Combine(Root, "tests", "Conventions"), AppContext.BaseDirectory); // bin/Debug/net10.0
        var manifest = Path.Combine(Root, "src", name.Split('.')[^1], output, name + ".staticwebassets.endpoints.json");
        using var json = JsonDocument.Parse(File.ReadAllText(manifest));
        return [.. json.RootElement.GetProperty("Endpoints").EnumerateArray()
            .Select(endpoint => endpoint.GetProperty("Route").GetString()!).Where(route => !route.StartsWith("_content/", StringComparison.Ordinal)).Distinct()];
    }

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "DataSync.sln"))) folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("DataSync.sln was not found above the tests.");
        return folder;
    }
}
