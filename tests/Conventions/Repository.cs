using System.Reflection;
using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;

namespace DataSync.Conventions;

/// <summary>Where the sources are, and what was built of them.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    public static IReadOnlyList<Assembly> Libraries { get; } =
        [typeof(TabCoordinator).Assembly, typeof(CommitPipeline).Assembly, typeof(DataSyncDatabase).Assembly];

    /// <summary>The libraries' own source files with an ending.</summary>
    public static IEnumerable<string> Sources(string ending) => Directory
        .EnumerateFiles(Path.Combine(Root, "src"), "*" + ending, SearchOption.AllDirectories)
        .Where(file => !file.Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj" or "node_modules" or "sqlite"));

    private static string FindRoot()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "DataSync.sln"))) folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("DataSync.sln was not found above the tests.");
        return folder;
    }
}
