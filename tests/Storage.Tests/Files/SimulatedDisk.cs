namespace DataSync.Storage.Tests.Files;

/// <summary>What a disk does to the steps that it was not asked to make durable, when the power goes.</summary>
public enum PowerCut
{
    /// <summary>Everything done so far is there: the process died, not the machine.</summary>
    KeepsAll,

    /// <summary>Nothing but what was made durable is there.</summary>
    DropsAll,

    /// <summary>Each name and each file for itself, in any order: there, not there, or half there.</summary>
    Reorders,
}

/// <summary>The simulated process was stopped: nothing that it does counts any more.</summary>
public sealed class ProcessStoppedException() : IOException("The simulated process has ended.");

/// <summary>
/// A file system in memory that knows what is durable. It fails or stops at a chosen step; <see cref="Cut"/> makes of it the
/// disk that the next process finds. A write has three steps: the file is there, half of it is there, all is durable.
/// </summary>
internal sealed class SimulatedDisk(int seed = 0) : IFileLayer
{
    private readonly Random _random = new(seed);
    private readonly Lock _lock = new();
    private readonly HashSet<string> _directories = [];
    private SortedDictionary<string, Content> _names = new(StringComparer.Ordinal);
    private SortedDictionary<string, Content> _durable = new(StringComparer.Ordinal);
    private readonly List<(string From, string To)> _renames = [];
    private readonly TaskCompletionSource<string> _fired = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _stopped;

    /// <summary>Steps taken so far.</summary>
    public int Steps { get; private set; }

    /// <summary>Whether the step at <see cref="FailAt"/> was reached.</summary>
    public bool HasFired { get; private set; }

    /// <summary>The step that fails; 0 for none.</summary>
    public int FailAt { get; set; }

    /// <summary>What the failing step throws; null: the process stops there.</summary>
    public Exception? Failure { get; set; }

    /// <summary>The failing step is done all the same, where it is a single one.</summary>
    public bool FailsAfterwards { get; set; }

    /// <summary>Only steps below this directory count; null: all.</summary>
    public string? FailsBelow { get; set; }

    /// <summary>The disk says that it has flushed a file, and has not.</summary>
    public bool LiesAboutFiles { get; set; }

    /// <summary>All files as they are seen now.</summary>
    public SortedDictionary<string, byte[]> Files
    {
        get
        {
            lock (_lock) return new(_names.ToDictionary(entry => entry.Key, entry => entry.Value.Bytes.ToArray()), StringComparer.Ordinal);
        }
    }

    /// <summary>The power goes, or the process ends, and the disk is used by the next process.</summary>
    public void Cut(PowerCut kind)
    {
        lock (_lock)
        {
            if (kind != PowerCut.KeepsAll)
            {
                var survivors = new SortedDictionary<string, Content>(StringComparer.Ordinal);
                var isNew = _names.Keys.Union(_durable.Keys).ToDictionary(name => name, _ => kind == PowerCut.Reorders && _random.Next(2) == 0);

                // A rename is one step to every file system: both names change, or none.
                foreach (var (from, to) in _renames) isNew[from] = isNew.GetValueOrDefault(to);
                foreach (var name in isNew.Keys)
                {
                    var content = (isNew[name] ? _names : _durable).GetValueOrDefault(name);
                    if (content is not null) survivors[name] = new Content(Survive(content, kind));
                }

                _names = survivors;
            }

            _renames.Clear();
            foreach (var content in _names.Values) content.Durable = content.Bytes;
            _durable = new(_names, StringComparer.Ordinal);
            (_stopped, FailAt) = (false, 0);
        }
    }

    /// <summary>Completes when the step at <see cref="FailAt"/> was reached, with the path that it touches.</summary>
    public Task<string> Fired => _fired.Task;

    /// <summary>The disk that the next process finds, while threads of the stopped one may still hold this one.</summary>
    public SimulatedDisk CutAway(PowerCut kind, int seed)
    {
        var next = new SimulatedDisk(seed);
        lock (_lock)
        {
            if (!_stopped) throw new InvalidOperationException("The process has not stopped.");
            next._names = new(_names, StringComparer.Ordinal);
            next._durable = new(_durable, StringComparer.Ordinal);
            next._renames.AddRange(_renames);
        }

        next.Cut(kind);
        return next;
    }

    /// <summary>Another disk with the same files, all durable.</summary>
    public SimulatedDisk Clone(int seed = 0)
    {
        var copy = new SimulatedDisk(seed);
        foreach (var (path, bytes) in Files) copy.Damage(path, bytes);
        return copy;
    }

    /// <summary>Changes a file's bytes, as a failing disk does.</summary>
    public void Damage(string path, byte[] bytes)
    {
        lock (_lock) _names[path] = _durable[path] = new Content(bytes) { Durable = bytes };
    }

    public void CreateDirectory(string path)
    {
        lock (_lock)
        {
            Step(path);
            _directories.Add(path);
        }
    }

    public IDisposable Lock(string directory) => new MemoryStream();

    public IReadOnlyList<string> List(string directory)
    {
        lock (_lock)
        {
            ThrowIfStopped();
            return [.. _names.Keys.Where(path => Path.GetDirectoryName(path) == directory).Select(path => Path.GetFileName(path))];
        }
    }

    public bool Read(string path, FileAllocator allocate)
    {
        lock (_lock)
        {
            ThrowIfStopped();
            if (!_names.TryGetValue(path, out var content)) return false;
            var target = allocate(content.Bytes.Length);
            content.Bytes.AsSpan(0, target.Length).CopyTo(target);
            return true;
        }
    }

    public void Write(string path, ReadOnlySpan<byte> bytes)
    {
        lock (_lock)
        {
            Step(path);
            var content = _names[path] = new Content([]);
            content.Bytes = bytes[..(bytes.Length / 2)].ToArray();
            Step(path);
            content.Bytes = bytes.ToArray();
            Step(path);
            if (!LiesAboutFiles) content.Durable = content.Bytes;
        }
    }

    public bool Rename(string from, string to, bool replace)
    {
        lock (_lock)
        {
            if (!_names.TryGetValue(from, out var content)) throw new FileNotFoundException(from);
            if (!replace && _names.ContainsKey(to)) return false;
            Step(to, () =>
            {
                _names[to] = content;
                _names.Remove(from);
                if (replace) _renames.Add((from, to));
            });
            return true;
        }
    }

    public void Delete(string path)
    {
        lock (_lock)
        {
            if (!_names.ContainsKey(path)) return;
            Step(path, () => _names.Remove(path));
        }
    }

    public void SyncDirectory(string path)
    {
        lock (_lock)
        {
            Step(path, () =>
            {
                _renames.RemoveAll(rename => Path.GetDirectoryName(rename.To) == path);
                foreach (var name in _names.Keys.Union(_durable.Keys).Where(name => Path.GetDirectoryName(name) == path).ToList())
                {
                    if (_names.TryGetValue(name, out var content)) _durable[name] = content;
                    else _durable.Remove(name);
                }
            });
        }
    }

    private byte[] Survive(Content content, PowerCut kind)
    {
        if (content.Durable == content.Bytes) return content.Bytes;
        if (kind == PowerCut.DropsAll) return content.Durable ?? [];
        switch (_random.Next(4))
        {
            case 0: return content.Durable ?? [];
            case 1: return content.Bytes;
            case 2: return content.Bytes[.._random.Next(content.Bytes.Length + 1)];
            default:
                // Some sectors made it, others read as zero.
                var torn = content.Bytes.ToArray();
                for (var at = 0; at < torn.Length; at += 512)
                {
                    if (_random.Next(2) == 0) torn.AsSpan(at, Math.Min(512, torn.Length - at)).Clear();
                }

                return torn;
        }
    }

    private void Step(string path, Action? action = null)
    {
        ThrowIfStopped();
        if ((FailsBelow is null || path.StartsWith(FailsBelow, StringComparison.Ordinal)) && ++Steps == FailAt)
        {
            HasFired = true;
            if (FailsAfterwards) action?.Invoke();
            _stopped = Failure is null;
            _fired.TrySetResult(path);
            if (Failure is { } failure) throw failure;
            throw new ProcessStoppedException();
        }

        action?.Invoke();
    }

    private void ThrowIfStopped()
    {
        if (_stopped) throw new ProcessStoppedException();
    }

    private sealed class Content(byte[] bytes)
    {
        public byte[] Bytes { get; set; } = bytes;

        public byte[]? Durable { get; set; }
    }
}
