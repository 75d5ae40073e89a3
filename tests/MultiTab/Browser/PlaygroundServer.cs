namespace DataSync.MultiTab.Browser;

/// <summary>The published playground with the lab beside it.</summary>
internal static class PlaygroundServer
{
    /// <summary>The published playground.</summary>
    public static string Folder { get; } = FolderOf("DataSync.Playground");

    public static Task<AppServer> StartAsync() => AppServer.StartAsync(new PublishedApp("", Folder), new PublishedApp("/lab", FolderOf("DataSync.Lab")));

    /// <summary>One of the apps that the project publishes when it is built.</summary>
    public static string FolderOf(string name) => Path.Combine(Build.Metadata($"{name}.Published"), "wwwroot");
}
