namespace DataSync.Playground;

/// <summary>A .NET app that runs in the browser and that the host serves.</summary>
/// <param name="Path">Where it is served: "" for the root, else for example "/lab".</param>
/// <param name="MainAssembly">The name of the assembly that holds <c>Main</c>, without extension.</param>
/// <param name="OutputFolder">The build output with that assembly and all that it references.</param>
/// <param name="WebRoot">The folder with its index.html.</param>
public sealed record BrowserClient(string Path, string MainAssembly, string OutputFolder, string WebRoot);
