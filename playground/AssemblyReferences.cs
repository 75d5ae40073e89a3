using System.Reflection.Metadata;

namespace DataSync.Playground;

/// <summary>
/// Reads which assemblies an assembly refers to, whether it is a .dll or wrapped in a .wasm: both hold the same metadata,
/// and it starts with a signature that is easily found.
/// </summary>
internal static class AssemblyReferences
{
    /// <summary>"BSJB", then the metadata version 1.1.</summary>
    private static ReadOnlySpan<byte> MetadataStart => [0x42, 0x53, 0x4A, 0x42, 1, 0, 1, 0];

    /// <summary>The names of the roots and of all that they need, as far as <paramref name="pathOf"/> knows a file.</summary>
    public static HashSet<string> Closure(IEnumerable<string> roots, Func<string, string?> pathOf)
    {
        var found = new HashSet<string>();
        var open = new Stack<string>(roots);
        while (open.TryPop(out var name))
        {
            if (pathOf(name) is { } path && found.Add(name))
            {
                Read(path).ForEach(open.Push);
            }
        }

        return found;
    }

    private static unsafe List<string> Read(string path)
    {
        var content = File.ReadAllBytes(path);
        var start = content.AsSpan().IndexOf(MetadataStart);
        if (start < 0)
        {
            return [];
        }

        fixed (byte* metadata = content.AsSpan(start))
        {
            var reader = new MetadataReader(metadata, content.Length - start);
            return [.. reader.AssemblyReferences.Select(handle => reader.GetString(reader.GetAssemblyReference(handle).Name))];
        }
    }
}
