using System.Reflection;

namespace DataSync.MultiTab.Browser;

/// <summary>What the build told the tests (assembly metadata).</summary>
internal static class Build
{
    /// <summary>The folder that README.md is in.</summary>
    public static string Repository { get; } = Metadata("DataSync.Repository");

    public static string Configuration { get; } = typeof(Build).Assembly.GetCustomAttribute<AssemblyConfigurationAttribute>()!.Configuration;

    public static string Metadata(string key) => typeof(Build).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == key).Value!;
}
