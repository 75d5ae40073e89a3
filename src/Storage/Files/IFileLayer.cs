namespace DataSync.Storage;

/// <summary>
/// What a store needs of a file system. Every member is one step that can fail, or be the last before a crash: tests
/// replace it to try each. Errors are <see cref="IOException"/> and <see cref="UnauthorizedAccessException"/>.
/// </summary>
internal interface IFileLayer
{
    /// <summary>Makes a directory, and durable that it is there; nothing if it is.</summary>
    void CreateDirectory(string path);

    /// <summary>Keeps other processes out of a directory until disposed.</summary>
    /// <exception cref="StoreInUseException">Another process (or another path to the directory) holds it.</exception>
    IDisposable Lock(string directory);

    /// <summary>Names of the files in a directory, in no order; none when there is no directory.</summary>
    IReadOnlyList<string> List(string directory);

    /// <summary>Reads a file from its beginning into what <paramref name="allocate"/> gives for its length; false when there is none.</summary>
    bool Read(string path, FileAllocator allocate);

    /// <summary>Makes a file anew with these bytes, and the bytes (not the name) durable.</summary>
    void Write(string path, ReadOnlySpan<byte> bytes);

    /// <summary>
    /// Gives a file another name in the same directory, atomically. False when the name is taken and
    /// <paramref name="replace"/> is not set; then nothing was done.
    /// </summary>
    bool Rename(string from, string to, bool replace);

    /// <summary>Removes a file; nothing if there is none.</summary>
    void Delete(string path);

    /// <summary>Makes the names in a directory durable.</summary>
    void SyncDirectory(string path);
}

/// <summary>Gives the memory that a file is read into: as long as the file, or shorter for its first bytes only.</summary>
internal delegate Span<byte> FileAllocator(long length);
