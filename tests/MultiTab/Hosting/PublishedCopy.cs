using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using DataSync.MultiTab.Browser;

namespace DataSync.MultiTab.Hosting;

/// <summary>A published app, copied, to be changed.</summary>
internal sealed class PublishedCopy : IDisposable
{
    private const string AssetsFile = "service-worker-assets.js";
    private const string AssetsBegin = "self.assetsManifest = ";

    public PublishedCopy(string published)
    {
        foreach (var file in Directory.EnumerateFiles(published, "*", SearchOption.AllDirectories))
        {
            var copy = Path.Combine(Folder, Path.GetRelativePath(published, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }
    }

    public string Folder { get; } = Directory.CreateTempSubdirectory("datasync-published-").FullName;

    /// <summary>Changes a text file. Its compressed forms, which are then those of the old one, go.</summary>
    public void Change(string file, Func<string, string> change)
    {
        var path = Path.Combine(Folder, file);
        var (old, changed) = (File.ReadAllText(path), change(File.ReadAllText(path)));
        if (old == changed) throw new ArgumentException($"{file} stayed as it was.", nameof(change));
        File.WriteAllText(path, changed);
        File.Delete(path + ".br");
        File.Delete(path + ".gz");
    }

    /// <summary>Makes of it what publishing it with these changes would have made: a new version.</summary>
    public void ChangeVersion(params (string File, Func<string, string> Change)[] changes)
    {
        foreach (var (file, change) in changes) Change(file, change);
        var old = "";
        var changed = "";
        Change(AssetsFile, script =>
        {
            var manifest = JsonNode.Parse(script[(script.IndexOf(AssetsBegin, StringComparison.Ordinal) + AssetsBegin.Length)..].TrimEnd().TrimEnd(';'))!;
            foreach (var asset in manifest["assets"]!.AsArray().Where(asset => changes.Any(change => change.File == asset!["url"]!.GetValue<string>())))
            {
                asset!["hash"] = "sha256-" + Convert.ToBase64String(SHA256.HashData(File.ReadAllBytes(Path.Combine(Folder, asset["url"]!.GetValue<string>()))));
            }

            old = manifest["version"]!.GetValue<string>();
            changed = Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(manifest["assets"]!.ToJsonString())))[..8];
            manifest["version"] = changed;
            return AssetsBegin + manifest.ToJsonString(new JsonSerializerOptions { WriteIndented = true }) + ";\n";
        });
        Change("service-worker.js", script => script.Replace(old, changed, StringComparison.Ordinal));
    }

    /// <summary>Leaves of each file that has compressed forms only these.</summary>
    public void KeepCompressedOnly()
    {
        foreach (var file in Directory.GetFiles(Folder, "*.br", SearchOption.AllDirectories)) File.Delete(file[..^".br".Length]);
    }

    public void Dispose() => TemporaryFolder.Delete(Folder);
}
