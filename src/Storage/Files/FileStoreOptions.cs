namespace DataSync.Storage;

/// <summary>How a <see cref="FileBlockStore"/> works.</summary>
internal sealed record FileStoreOptions
{
    /// <summary>The environment variable that names the base directory where <see cref="BaseDirectory"/> does not.</summary>
    public const string BaseVariable = "DATASYNC_FS_BASE";

    /// <summary>The directory in which each database has a directory of its own.</summary>
    /// <value>
    /// Null by default: what the environment variable <c>DATASYNC_FS_BASE</c> names, else <c>datasync</c> in the user's
    /// local application data.
    /// </value>
    public string? BaseDirectory { get; init; }

    /// <summary>A second base directory, best on another disk, that receives the same records.</summary>
    /// <value>Null by default: no mirror.</value>
    public string? MirrorDirectory { get; init; }

    /// <summary>How blocks are checksummed when this store creates the database.</summary>
    /// <value><see cref="ChecksumKind.FastHash"/> by default.</value>
    public ChecksumKind Checksum { get; init; } = ChecksumKind.FastHash;

    internal void Validate()
    {
        if (!Enum.IsDefined(Checksum)) throw new ArgumentException("An option has a value that does not exist.");
        if (BaseDirectory is "" || MirrorDirectory is "") throw new ArgumentException("A directory is named by an empty text.");
        if (MirrorDirectory is { } mirror && Path.GetFullPath(mirror) == GetBase())
            throw new ArgumentException($"{nameof(MirrorDirectory)} is the base directory itself.");
    }

    /// <summary>The directory of one database.</summary>
    internal string GetDirectory(string name) => Path.Combine(GetBase(), ToFileName(name));

    internal string? GetMirror(string name) => MirrorDirectory is null ? null : Path.Combine(Path.GetFullPath(MirrorDirectory), ToFileName(name));

    private string GetBase()
    {
        if (BaseDirectory is not null) return Path.GetFullPath(BaseDirectory);
        if (Environment.GetEnvironmentVariable(BaseVariable) is { Length: > 0 } named) return Path.GetFullPath(named);
        return Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData), "datasync");
    }

    // What the common file systems take for one name.
    private const int MaxFileName_bytes = 255;

    // No name leaves the base directory, and a dot at either end means something to some file systems.
    private static string ToFileName(string name)
    {
        var escaped = Uri.EscapeDataString(name);
        if (escaped[0] == '.') escaped = "%2E" + escaped[1..];
        if (escaped[^1] == '.') escaped = escaped[..^1] + "%2E";
        if (escaped.Length <= MaxFileName_bytes) return escaped;
        throw new ArgumentException(
            $"The database's name takes {escaped.Length} bytes as a directory's name, and file systems take {MaxFileName_bytes}: letters and digits of ASCII take "
            + "one each, all else three for each byte of UTF-8. Choose a shorter name.",
            nameof(name));
    }
}
