using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>What a copy holds, as far as whoever writes it has to know.</summary>
internal sealed class CopyTail
{
    private readonly HashSet<int> _dirty;

    public CopyTail(Head head, Position end, int records, long bytes, IEnumerable<int> dirty) => (Head, End, Records, Bytes, _dirty) = (head, end, records, bytes, [.. dirty]);

    public Head Head { get; private set; }

    /// <summary>Its last commit.</summary>
    public Position End { get; private set; }

    /// <summary>How many commits are behind the checkpoint.</summary>
    public int Records { get; private set; }

    /// <summary>Their bytes.</summary>
    public long Bytes { get; private set; }

    /// <summary>The extents that they change.</summary>
    public IReadOnlyCollection<int> Dirty => _dirty;

    /// <summary>None greater than that under which its last commit was taken.</summary>
    public Epoch LastEpoch { get; private set; } = new(1);

    public CopyState State => new(Head.Incarnation, Head.Checkpoint.Marker, End.Marker);

    /// <summary>Reads it.</summary>
    /// <returns>Null: it is damaged.</returns>
    public static async ValueTask<(CopyTail? Tail, CopyState Present)> ReadAsync(ICopyStore copy, CancellationToken cancellationToken)
    {
        var reader = new Reader();
        await copy.ReadAsync(new StoreRead(reader, IncludeExtents: false), cancellationToken).ConfigureAwait(false);
        return (reader.Finish(), reader.State);
    }

    /// <summary>The head that it needs for these commits as well.</summary>
    public Head HeadFor(IReadOnlyList<CommitRecord> commits) => Head with { Epoch = Epoch.Max(Head.Epoch, commits[^1].Epoch) };

    /// <summary>They were written behind it.</summary>
    public void OnAppended(Head head, IReadOnlyList<CommitRecord> commits)
    {
        (Head, End, LastEpoch) = (head, commits[^1].Position, commits[^1].Epoch);
        Records += commits.Count;
        foreach (var commit in commits)
        {
            Bytes += commit.Bytes.Length;
            AddTouched(commit, _dirty);
        }
    }

    public static void AddTouched(CommitRecord commit, ISet<int> extents)
    {
        foreach (var id in commit.BlockIds) extents.Add((int)(id / Extent.BlockCount));
        foreach (var id in commit.FreedIds) extents.Add((int)(id / Extent.BlockCount));
    }

    private sealed class Reader : IStoreReadSink
    {
        private readonly List<StoredLog> _log = [];
        private Head? _head;

        /// <summary>None greater than that under which its last commit was taken.</summary>
    public Epoch LastEpoch { get; private set; } = new(1);

    public CopyState State => new(Head.Incarnation, Head.Checkpoint.Marker, _log.Count > 0 ? _log[^1].Marker : Head.Checkpoint.Marker);

        private Head Head => _head ?? throw new InvalidOperationException("The store handed over no head.");

        public void OnHead(Head head, int extents, int logRecords) => _head = head;

        public void OnExtent(Extent extent, int recordSize) => extent.Dispose();

        public void OnLog(long marker, byte[] record, bool mayBeTorn) => _log.Add(new(marker, record, mayBeTorn));

        public CopyTail? Finish()
        {
            var verifier = new LogVerifier(Head, Head.Checkpoint, verifyBlocks: false);
            var (bytes, epoch, dirty) = (0L, new Epoch(1), new HashSet<int>());
            foreach (var stored in _log)
            {
                if (verifier.Accept(stored, out _) is not { } commit) return null;
                bytes += stored.Bytes.Length;
                epoch = commit.Epoch;
                AddTouched(commit, dirty);
            }

            return new(Head, verifier.Position, _log.Count, bytes, dirty) { LastEpoch = epoch };
        }
    }
}
