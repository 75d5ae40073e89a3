using System.Text;

namespace DataSync.Storage;

/// <summary>Which tables a commit changed: as SQLite names them, so those of a virtual table are its shadow tables.</summary>
/// <param name="Names">Their names; null where it is not known, so that it may be any.</param>
/// <param name="IsSchemaChanged">Whether there may be other tables, indexes, views or triggers after it.</param>
internal sealed record TouchedTables(IReadOnlyList<string>? Names, bool IsSchemaChanged)
{
    /// <summary>The most bytes that their names take in a record; where there are more, nothing is known.</summary>
    public const int MaxBytes = 4096;

    /// <summary>Anything may have changed.</summary>
    public static TouchedTables Unknown { get; } = new(null, IsSchemaChanged: true);

    /// <summary>Null where nothing is known, or where there are too many.</summary>
    public byte[]? Encode()
    {
        if (Names is null) return null;
        var size = 0;
        foreach (var name in Names) size += Encoding.UTF8.GetByteCount(name) + 1;
        if (size > MaxBytes) return null;
        var bytes = new byte[size];
        var at = 0;
        foreach (var name in Names) at += Encoding.UTF8.GetBytes(name, bytes.AsSpan(at)) + 1;
        return bytes;
    }

    public static IReadOnlyList<string> Decode(ReadOnlySpan<byte> bytes)
    {
        var names = new List<string>();
        for (int end; (end = bytes.IndexOf((byte)0)) >= 0; bytes = bytes[(end + 1)..]) names.Add(Encoding.UTF8.GetString(bytes[..end]));
        return names;
    }
}
