using System.IO.Compression;

namespace DataSync.Bench;

/// <summary>W10: what the browser fetched for a library, as its package has it (no bundler, no minifier).</summary>
internal static class Downloads
{
    public static async Task AddAsync(Measurements results, string library, IEnumerable<string> files, bool isQuick)
    {
        string[] present = [.. files.Distinct().Where(File.Exists)];
        var packed = await Task.WhenAll(present.Select(file => Task.Run(() => PackedLength(file, isQuick))));
        results.Add(library, "w10.raw", present.Sum(file => new FileInfo(file).Length));
        results.Add(library, "w10.brotli", packed.Sum());
    }

    private static long PackedLength(string file, bool isQuick)
    {
        using var packed = new MemoryStream();
        using (var brotli = new BrotliStream(packed, isQuick ? CompressionLevel.Fastest : CompressionLevel.SmallestSize, leaveOpen: true))
        using (var content = File.OpenRead(file))
            content.CopyTo(brotli);
        return packed.Length;
    }
}
