using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text.Json;

namespace DataSync.Playground;

/// <summary>
/// Makes <c>_framework/dotnet.boot.js</c>, the list of what the .NET loader fetches, for one client. An assembly that the
/// runtime package has comes from there, since it was built for the browser; the others come from the client's output.
/// </summary>
public sealed class BootFile(BrowserClient client, RuntimeFiles runtime)
{
    /// <summary>These are needed before the runtime can start.</summary>
    private static readonly string[] CoreAssemblies = ["System.Private.CoreLib", "System.Runtime.InteropServices.JavaScript"];

    private readonly ConcurrentDictionary<(string Path, DateTime Written), string> fingerprints = new();

    /// <summary>The text made last, and of which files.</summary>
    private Made last = new("", "");

    /// <summary>The JavaScript text of the boot file, for the output folder as it is now.</summary>
    public string Create()
    {
        var app = AppAssemblies().ToDictionary(path => Path.GetFileNameWithoutExtension(path));
        var names = app.Values.Select(FingerprintedName).ToArray();
        var key = string.Join('|', names);
        if (last.Key != key)
        {
            // A tab does not fetch the half of the base library that the app never refers to.
            var needed = AssemblyReferences.Closure([.. app.Keys, .. CoreAssemblies], name =>
                runtime.Assemblies.TryGetValue(name, out var file) ? runtime.Fingerprinted[file] : app.GetValueOrDefault(name));
            last = new Made(key, Create(runtime.Assemblies.Where(entry => needed.Contains(entry.Key)), names));
        }

        return last.Text;
    }

    /// <summary>The path of an assembly of the client by its fingerprinted name, or null when there is no such file (any more).</summary>
    public string? Find(string fingerprintedName) =>
        AppAssemblies().FirstOrDefault(path => FingerprintedName(path) == fingerprintedName);

    private string Create(IEnumerable<KeyValuePair<string, string>> baseAssemblies, IEnumerable<string> appAssemblies)
    {
        var config = new Dictionary<string, object>
        {
            ["mainAssemblyName"] = client.MainAssembly,
            ["globalizationMode"] = "invariant",
            ["debugLevel"] = 0,
            ["resources"] = new Dictionary<string, object>
            {
                ["jsModuleNative"] = new[] { new { name = runtime.Find("dotnet.native.js") } },
                ["jsModuleRuntime"] = new[] { new { name = runtime.Find("dotnet.runtime.js") } },
                ["wasmNative"] = new[] { new { name = runtime.Find("dotnet.native.wasm"), cache = "default" } },
                ["coreAssembly"] = CoreAssemblies.Select(name => Asset(runtime.Assemblies[name])),
                ["assembly"] = baseAssemblies.Where(entry => !CoreAssemblies.Contains(entry.Key)).Select(entry => entry.Value).Concat(appAssemblies).Select(Asset),
            },
        };
        return $"export const config = /*json-start*/{JsonSerializer.Serialize(config)}/*json-end*/;\n";
    }

    private static object Asset(string name) =>
        new { name, virtualPath = RuntimeFiles.WithoutFingerprint(name), cache = "default" };

    private IEnumerable<string> AppAssemblies() => Directory.Exists(client.OutputFolder)
        ? Directory.EnumerateFiles(client.OutputFolder, "*.dll").Where(path => !runtime.Assemblies.ContainsKey(Path.GetFileNameWithoutExtension(path)))
        : throw new DirectoryNotFoundException($"'{client.OutputFolder}' is missing: build {client.MainAssembly} first.");

    private string FingerprintedName(string path)
    {
        var fingerprint = fingerprints.GetOrAdd((path, File.GetLastWriteTimeUtc(path)), static key =>
        {
            using var file = File.OpenRead(key.Path);
            return Convert.ToHexStringLower(SHA256.HashData(file))[..10];
        });
        return $"{Path.GetFileNameWithoutExtension(path)}.{fingerprint}.dll";
    }

    private sealed record Made(string Key, string Text);
}
