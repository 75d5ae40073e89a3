namespace DataSync.Vfs.Browser;

/// <summary>
/// The copies of one statement's texts and blobs. Each column keeps one buffer, so that a copy lives as long as SQLite
/// promises of the original: until the statement steps, resets or is finalised, or the same column is asked for again.
/// </summary>
internal sealed class StatementMemory(int statement)
{
    // A statement keeps its buffers for its next run, but not what one large value took; and few have more parameters.
    private const int KeepSize = 65536, MaxParameters = 64;

    private Dictionary<int, NativeBuffer>? _names;
    private List<(byte[] Name, int Index)>? _parameters;
    private NativeBuffer?[] _columns = [];
    private int _nextParameter;

    /// <summary>The row that it stands on.</summary>
    public StatementRows Rows { get; } = new(statement);

    /// <summary>The buffer of a column's value.</summary>
    public NativeBuffer Column(int index)
    {
        if ((uint)index >= (uint)_columns.Length) Array.Resize(ref _columns, Math.Clamp(index, 0, 32767) + 8);
        return _columns[Math.Max(index, 0)] ??= new();
    }

    /// <summary>The buffer of something that is said about the statement: one for each kind and column.</summary>
    public NativeBuffer Name(int kind, int index)
    {
        var key = kind << 16 | index & 0xFFFF;
        if (!(_names ??= []).TryGetValue(key, out var buffer)) _names.Add(key, buffer = new());
        return buffer;
    }

    /// <summary>A parameter's index as it was found before; parameters are mostly asked for in the same order each time.</summary>
    public bool TryFindParameter(ReadOnlySpan<byte> name, out int index)
    {
        for (var i = 0; i < _parameters?.Count; i++)
        {
            if (_nextParameter >= _parameters.Count) _nextParameter = 0;
            var (known, found) = _parameters[_nextParameter++];
            if (!name.SequenceEqual(known)) continue;
            index = found;
            return true;
        }

        index = 0;
        return false;
    }

    /// <summary>Keeps an index; a statement's parameters never change.</summary>
    public void AddParameter(ReadOnlySpan<byte> name, int index)
    {
        _parameters ??= [];
        if (_parameters.Count < MaxParameters) _parameters.Add((name.ToArray(), index));
    }

    /// <summary>The statement was reset: large buffers are given back.</summary>
    public void Trim()
    {
        foreach (var column in _columns)
        {
            if (column?.Size > KeepSize) column.Free();
        }
    }

    public void Free()
    {
        Rows.Leave();
        foreach (var column in _columns) column?.Free();
        if (_names is null) return;
        foreach (var name in _names.Values) name.Free();
    }
}
