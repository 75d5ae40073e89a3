using System.Reflection;

namespace DataSync.MultiTab.Browser;

/// <summary>The published playground with the lab beside it.</summary>
internal static class PlaygroundServer
{
    public static Task<AppServer> StartAsync() => AppServer.StartAsync(AppOf("", "DataSync.Playground"), AppOf("/lab", "DataSync.Lab"));

    private static PublishedApp AppOf(string path, string name) => new(path, Path.Combine(Metadata($"{name}.Published"), "wwwroot"));

    private static string Metadata(string key) => typeof(PlaygroundServer).Assembly
        .GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == key).Value!;
}
