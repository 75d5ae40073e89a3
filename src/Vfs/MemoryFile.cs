namespace DataSync.Vfs;

/// <summary>The bytes of a journal or temporary file. They live and die with the tab, like the batch that they belong to.</summary>
internal sealed class MemoryFileData
{
    // A sorter's or a journal's file grows by this: below the size from which .NET never moves an array.
    private const int ChunkSize = 65536;

    private readonly List<byte[]> _chunks = [];

    /// <summary>The size in bytes.</summary>
    public long Size { get; private set; }

    /// <summary>Copies bytes out, zero where there are none; returns how many lie before the end.</summary>
    public int Read(long offset, Span<byte> destination)
    {
        var available = (int)Math.Clamp(Size - offset, 0, destination.Length);
        destination[available..].Clear();
        for (var done = 0; done < available;)
        {
            var (chunk, within) = ((int)((offset + done) / ChunkSize), (int)((offset + done) % ChunkSize));
            var length = Math.Min(available - done, ChunkSize - within);
            _chunks[chunk].AsSpan(within, length).CopyTo(destination[done..]);
            done += length;
        }

        return available;
    }

    /// <summary>Copies bytes in.</summary>
    public void Write(long offset, ReadOnlySpan<byte> source)
    {
        for (var done = 0; done < source.Length;)
        {
            var (chunk, within) = ((int)((offset + done) / ChunkSize), (int)((offset + done) % ChunkSize));
            var length = Math.Min(source.Length - done, ChunkSize - within);
            while (_chunks.Count <= chunk) _chunks.Add(new byte[ChunkSize]);
            source.Slice(done, length).CopyTo(_chunks[chunk].AsSpan(within));
            done += length;
        }

        Size = Math.Max(Size, offset + source.Length);
    }

    /// <summary>Sets the size; bytes beyond it are gone, also when the file grows again.</summary>
    public void SetSize(long size)
    {
        var chunks = (int)((size + ChunkSize - 1) / ChunkSize);
        if (chunks < _chunks.Count) _chunks.RemoveRange(chunks, _chunks.Count - chunks);
        while (_chunks.Count < chunks) _chunks.Add(new byte[ChunkSize]);
        if (size < Size && size % ChunkSize is var tail and > 0) _chunks[^1].AsSpan((int)tail).Clear();
        Size = size;
    }
}

/// <summary>An open journal or temporary file.</summary>
internal sealed class MemoryFile(MemoryFileData data, Action? onClose) : VfsFile
{
    /// <inheritdoc/>
    public override long Size => data.Size;

    /// <inheritdoc/>
    public override int Control(SqliteFileControl operation) =>
        operation is SqliteFileControl.SizeHint or SqliteFileControl.Sync ? SqliteResult.Ok : SqliteResult.NotFound;

    /// <inheritdoc/>
    public override int Close()
    {
        onClose?.Invoke();
        return SqliteResult.Ok;
    }

    protected override int ReadCore(long offset, Span<byte> destination) =>
        data.Read(offset, destination) < destination.Length ? SqliteResult.IoErrorShortRead : SqliteResult.Ok;

    protected override int WriteCore(long offset, ReadOnlySpan<byte> source)
    {
        data.Write(offset, source);
        return SqliteResult.Ok;
    }

    protected override int TruncateCore(long size)
    {
        data.SetSize(size);
        return SqliteResult.Ok;
    }
}
