using System.Globalization;
using DataSync.Contracts;
using DataSync.Storage;

namespace DataSync.Simulation;

// What must hold after every step.
internal sealed partial class World
{
    private readonly Dictionary<Guid, StoreLife> _lives = [];
    private readonly Dictionary<CommitId, ModelCommit> _commits = [];
    private readonly ModelImage _empty;
    private StoreLife? _life;

    public ModelImage ImageAt(Position position) =>
        position.Commit == CommitId.None ? _empty
        : _commits.TryGetValue(position.Commit, out var commit) ? commit.Image
        : throw new KeyNotFoundException($"Nobody sealed the commit at {position}.");

    public string Describe(Position position) => string.Create(CultureInfo.InvariantCulture, $"{position.Marker}:{Describe(position.Commit)}");

    public string Describe(CommitId id) => id == CommitId.None ? "start" : _commits.TryGetValue(id, out var commit) ? commit.Name : "unknown";

    public string Describe(byte[] bytes)
    {
        if (CommitMessage.TryParse(bytes) is not { } m) return "garbage";
        var more = m.Kind switch
        {
            CommitMessageKind.Leading => $"at {Describe(m.Position)}{(m.HasJustBegun ? ", just begun" : "")}",
            CommitMessageKind.TurnRequest or CommitMessageKind.TurnRelease => $"{m.Turn}",
            CommitMessageKind.TurnGrant => $"{m.Turn} on {Describe(m.Position)}, {m.Records.Count} accepted, durable {m.Durable}",
            CommitMessageKind.Refused => $"{Describe(m.Position)} {m.Code}, durable {m.Durable}",
            _ => $"{Describe(m.Position)}{(m.Records.Count == 0 ? " without blocks" : "")}",
        };
        var to = _tabs.Find(t => t.Coordinator.Id == m.To);
        return $"{m.Kind}[e{m.Epoch}] {more}{(to is null ? "" : $" for {to.Name}")}";
    }

    public void OnSealed(SimTab tab, CommitId id, int number, Operation? operation, Position on, ModelImage image)
    {
        var commit = new ModelCommit(id, $"c{_commits.Count + 1}", on, image, operation, tab, number);
        _commits[id] = commit;
        operation?.Commits.Add(commit);
        tab.Trace($"op {operation?.Number} seals {commit.Name} on {Describe(on)}");
    }

    /// <summary>Looks at the store after one of its transactions: the history may only have grown, by commits that fit.</summary>
    public void Observe(SimTab? tab, StoreCall call)
    {
        if (Medium.HeadRecord is not { } record) return;
        var head = HeadCodec.Decode(record);
        if (!_lives.TryGetValue(head.Incarnation, out var life))
        {
            _life = life = new StoreLife(head.Incarnation);
            _lives.Add(head.Incarnation, life);
        }

        if (call.Operation == StoreOperation.Open && tab is not null) tab.Life ??= life;
        if (head.Epoch.Value < life.Epoch) Fail("S2", $"The store's epoch fell from {life.Epoch} to {head.Epoch}.");
        if (head.Epoch.Value > life.Epoch) Trace(tab, $"raised the store's epoch to {head.Epoch}");
        life.Epoch = head.Epoch.Value;
        foreach (var (marker, entry) in Medium.Log) ObserveLog(life, head, marker, entry.Id, entry.Bytes);
        ObserveCheckpoint(life, head);
        var last = Medium.Log.Count > 0 ? Medium.Log.Keys.Last() : head.Checkpoint.Marker;
        if (last != life.End.Marker || head.Checkpoint.Marker + Medium.Log.Count != last)
            Fail("S1", $"The store holds markers {head.Checkpoint.Marker} + {Medium.Log.Count} up to {last}; the history ends at {life.End.Marker}.");
        if (call.Operation == StoreOperation.Checkpoint) CheckStore("after a checkpoint");
    }

    public void BeforeAppend(SimTab tab, StoreCall call)
    {
        if (_life is not null && call.Commits[0].Epoch.Value < _life.Epoch) Coverage.Hit("state stale leader appends");
    }

    private void ObserveLog(StoreLife life, Head head, long marker, CommitId id, byte[] bytes)
    {
        if (marker <= life.End.Marker)
        {
            if (life.History[(int)marker].Commit != id) Fail("S1", $"Marker {marker} held {Describe(life.History[(int)marker])} and now holds {Describe(id)}.");
            return;
        }

        if (CommitRecord.Parse(bytes, verifyBlocks: true, out var error) is not { } commit)
        {
            Fail("S1", $"The record at marker {marker} is damaged: {error}");
            return;
        }

        var known = _commits.GetValueOrDefault(id);
        Trace(known?.Writer, $"{Describe(id)} is durable at {marker}, epoch {commit.Epoch}");
        if (marker != life.End.Marker + 1 || commit.Marker != marker) Fail("S2", $"Marker {marker} follows {life.End.Marker}.");
        else if (commit.Base != life.End) Fail("S3", $"{Describe(id)} was built on {Describe(commit.Base)} and follows {Describe(life.End)}.");
        else if (commit.Epoch.Value != head.Epoch.Value) Fail("S3", $"{Describe(id)} of epoch {commit.Epoch} was let in under epoch {head.Epoch}.");
        else if (commit.Incarnation != life.Incarnation) Fail("S3", $"{Describe(id)} is of another store.");
        else if (life.Find(id) is { } before) Fail("S6", $"{Describe(id)} is at {before} and {marker}.");
        else if (known is null) Fail("S1", $"Nobody sealed what is at {marker}.");
        else if (known.IsDead) Fail("S7", $"{Describe(id)} became durable after its writer was told that it had not.");
        else if (known.Operation is { } operation && IsDoubled(operation, known)) Fail("S6", $"Operation {operation.Number} was applied twice.");
        else if (life.History.Skip(1).Any(p => _commits[p.Commit] is var c && c.Writer == known.Writer && c.Number > known.Number)) Fail("order", $"{Describe(id)} overtook a later commit of its own tab.");
        if (Violation is not null) return;
        life.Add(new(marker, id));
        if (known!.Operation is not { } applied) return;
        applied.Durable = known;
        CheckOrder(applied);
    }

    private bool IsDoubled(Operation operation, ModelCommit commit)
    {
        if (operation.State == OperationState.Failed) Fail("S7", $"Operation {operation.Number} failed ({operation.Outcome}), and its {commit.Name} became durable later.");
        return operation.Durable is not null;
    }

    private void ObserveCheckpoint(StoreLife life, Head head)
    {
        if (head.Checkpoint.Marker < life.Checkpoint) Fail("S1", $"The checkpoint went back from {life.Checkpoint} to {head.Checkpoint.Marker}.");
        else if (head.Checkpoint.Marker > life.End.Marker || life.History[(int)head.Checkpoint.Marker] != head.Checkpoint) Fail("S1", $"The checkpoint names {Describe(head.Checkpoint)}, which is not in the history.");
        life.Checkpoint = head.Checkpoint.Marker;
    }

    /// <summary>A fresh load of the store must give the image of the history's end.</summary>
    private void CheckStore(string when)
    {
        if (Medium.HeadRecord is null || _life is null || Violation is not null) return;
        using var loaded = LoadStore();
        var image = loaded.Value.Image;
        if (loaded.Value.Report.Findings.Count > 0) Fail("S1", $"The store {when}: {loaded.Value.Report.Describe()}");
        else if (image.Position != _life.End) Fail("S1", $"The store {when} ends at {Describe(image.Position)}, the history at {Describe(_life.End)}.");
        else if (ImageAt(image.Position).Compare(image) is { } difference) Fail("S1", $"The store {when}: {difference}");
    }

    private void AfterStep()
    {
        var leaders = 0;
        foreach (var tab in _tabs)
        {
            if (tab.IsGone || !tab.IsOpen) continue;
            if (tab.Pipeline.IsLeading) leaders++;
            if (tab.Fault is not null) continue;
            var storage = tab.Pipeline.Storage;
            var now = (storage.Durable, storage.Top, storage.Generation, storage.ChainLength, storage.IsIdle, tab.Pipeline.HasTurn, storage.InBatch);
            if (now == tab.Seen) continue;
            if (storage.Durable.Marker < tab.Seen.Durable.Marker) Fail("S5", $"{tab.Name} went back from {Describe(tab.Seen.Durable)} to {Describe(storage.Durable)}.");
            tab.Seen = now;
            if (!storage.InBatch) CheckImage(tab, "after a step");
        }

        if (leaders > 1) Coverage.Hit("state two tabs lead");
    }

    public void CheckImage(SimTab tab, string when)
    {
        var storage = tab.Pipeline.Storage;
        if (tab.Life is not { } life) return;
        if (storage.Durable.Marker > life.End.Marker || life.History[(int)storage.Durable.Marker] != storage.Durable)
        {
            Fail("S5", $"{tab.Name} {when}: {Describe(storage.Durable)} counts as durable and is not.");
            return;
        }

        var foreign = 0;
        var top = storage.Top;
        for (var steps = storage.ChainLength; steps > 0 && top != storage.Durable && _commits.TryGetValue(top.Commit, out var commit); steps--)
        {
            if (commit.Writer != tab) foreign++;
            else if (storage.IsIdle && (commit.IsDead || commit.Operation is { State: OperationState.Failed })) Fail("S5", $"{tab.Name} {when}: it shows {commit.Name}, which failed.");
            else if (foreign == 0) foreign = int.MinValue / 2; // its own commit is on top: what is below it comes with it
            top = commit.Base;
        }

        if (top != storage.Durable) Fail("S5", $"{tab.Name} {when}: its {storage.ChainLength} commits on the way do not lead from {Describe(storage.Top)} to {Describe(storage.Durable)}.");
        else if (foreign > 0 && storage.IsIdle && !tab.Pipeline.HasTurn) Fail("S5", $"{tab.Name} {when}: it sees another tab's {Describe(storage.Top)}, which is not durable.");
        else if (ImageAt(storage.Top).Compare(storage) is { } difference) Fail("S5", $"{tab.Name} {when} at {Describe(storage.Top)}: {difference}");
        else if (!tab.IsOnDemand && storage.FindIncomplete() is { Length: > 0 } missing) Fail("residency", $"{tab.Name} {when}: extents {string.Join(", ", missing)} are missing in an image that is to be whole.");
        if (storage.ChainLength > 1) Coverage.Hit("state chain of several commits");
        if (foreign > 0) Coverage.Hit("state turn on commits of others under way");
    }
}
