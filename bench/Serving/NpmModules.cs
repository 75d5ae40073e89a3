using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace DataSync.Bench;

/// <summary>
/// Serves npm packages as they are, without a bundler: a browser cannot look up "some-package" in an import (an import map does
/// not reach workers), so the names are replaced by addresses, as Node.js would find them.
/// </summary>
internal sealed partial class NpmModules(string folder)
{
    private readonly ConcurrentDictionary<string, string> modules = new();

    /// <summary>The file of a path below /npm/, or null. Packages leave out the ending of their own files at times.</summary>
    public string? Find(string path)
    {
        var file = Path.GetFullPath(Path.Combine(folder, path));
        if (!file.StartsWith(folder, StringComparison.Ordinal)) return null;
        return ((string[])[file, file + ".js"]).FirstOrDefault(File.Exists);
    }

    public async Task<string> ReadModuleAsync(string file)
    {
        if (modules.TryGetValue(file, out var known)) return known;
        var text = await File.ReadAllTextAsync(file);
        return modules[file] = ImportedName().Replace(text, match =>
            Resolve(match.Groups["name"].Value, Path.GetDirectoryName(file)!) is { } address ? match.Groups["before"].Value + address + match.Groups["after"].Value : match.Value);
    }

    private string? Resolve(string name, string from)
    {
        var parts = name.Split('/');
        var package = name.StartsWith('@') ? string.Join('/', parts.Take(2)) : parts[0];
        for (var at = from; at.StartsWith(folder, StringComparison.Ordinal); at = Path.GetDirectoryName(at)!)
        {
            var root = Path.GetFileName(at) == "node_modules" ? Path.Combine(at, package) : Path.Combine(at, "node_modules", package);
            if (!Directory.Exists(root)) continue;
            var inside = name.Length > package.Length ? name[(package.Length + 1)..] : "";
            return "/npm/" + Path.GetRelativePath(folder, Path.Combine(root, Entry(root, inside))).Replace('\\', '/');
        }

        return null;
    }

    /// <summary>The file that a package's name, or a name inside of it, stands for.</summary>
    private static string Entry(string root, string inside)
    {
        using var package = JsonDocument.Parse(File.ReadAllText(Path.Combine(root, "package.json")));
        var key = inside.Length == 0 ? "." : "./" + inside;
        if (package.RootElement.TryGetProperty("exports", out var exports))
        {
            var target = exports.ValueKind == JsonValueKind.Object && exports.TryGetProperty(key, out var named) ? named : exports;
            if (Condition(target) is { } file) return file;
        }

        if (inside.Length > 0) return inside;
        foreach (var member in (string[])["module", "main"])
        {
            if (package.RootElement.TryGetProperty(member, out var file)) return file.GetString()!;
        }

        return "index.js";
    }

    private static string? Condition(JsonElement target)
    {
        if (target.ValueKind == JsonValueKind.String) return target.GetString();
        if (target.ValueKind != JsonValueKind.Object) return null;
        foreach (var condition in (string[])["browser", "import", "default"])
        {
            if (target.TryGetProperty(condition, out var inner) && Condition(inner) is { } file) return file;
        }

        return null;
    }

    /// <summary>The name in <c>from "name"</c>, <c>import "name"</c> and <c>import("name")</c>; a relative or absolute one is not matched.</summary>
    [GeneratedRegex("""(?<before>\b(?:from|import)\s*\(?\s*["'])(?<name>@?[A-Za-z][\w.-]*(?:/[\w.-]+)*)(?<after>["'])""")]
    private static partial Regex ImportedName();
}
