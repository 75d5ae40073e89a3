using DataSync.Contracts;
using DataSync.Storage;

namespace DataSync.Simulation;

// What applications asked for, what they were told, and whether that was true.
internal sealed partial class World
{
    private readonly List<Operation> _operations = [];
    private long _sequence;

    private Operation NewOperation(SimTab tab, bool isProbe)
    {
        var operation = new Operation(++_operationCount, tab, Clock.NowMs, tab.Life) { IsProbe = isProbe, StartOrder = ++_sequence };
        _operations.Add(operation);
        return operation;
    }

    /// <summary>The application was told that it is durable, at this position (null: it wrote nothing).</summary>
    public void Acknowledge(Operation operation, Position? position)
    {
        End(operation, OperationState.Done, position is { } p ? Describe(p) : "nothing written");
        if (position is not { } at || operation.Tab.IsGone) return;
        Acknowledged++;
        Coverage.Hit("acknowledged");
        var life = operation.Life!;
        if (life.Find(at.Commit) != at.Marker) Fail("S4", $"Operation {operation.Number} was acknowledged at {Describe(at)}, and the store does not hold it.");
        else if (operation.Durable?.Id != at.Commit) Fail("S4", $"Operation {operation.Number} was acknowledged for {Describe(at)}, which is not its own.");
        else if (at.Marker <= operation.MarkerAtStart) Fail("order", $"Operation {operation.Number} began at marker {operation.MarkerAtStart} and stands at {at.Marker}.");
        else if (operation.Tab.Fault is null && operation.Tab.Pipeline.Position.Marker < at.Marker) Fail("S5", $"Operation {operation.Number} was acknowledged at {at.Marker}, and its tab shows {operation.Tab.Pipeline.Position.Marker}.");
    }

    public Operation FindOperation(int number) => _operations.Find(o => o.Number == number)!;

    /// <summary>Its last commit was reported stale: it must never become durable.</summary>
    public void OnStale(Operation operation)
    {
        Coverage.Hit("state stale");
        foreach (var made in operation.Commits) made.IsDead = true; // one, unless statements were run by several leaders
        if (operation.Durable is { } commit) Fail("S7", $"{commit.Name} of operation {operation.Number} was reported stale, and it is durable.");
    }

    public void End(Operation operation, OperationState state, string outcome)
    {
        CheckThread();
        (operation.State, operation.Outcome, operation.EndMs) = (state, outcome, Clock.NowMs);
        Coverage.Hit($"ended {state} {(state == OperationState.Done ? "" : outcome)}");
        operation.Tab.Trace($"op {operation.Number} ended: {state}, {outcome}");
        if (state == OperationState.Failed && operation.Durable is not null) Fail("S7", $"Operation {operation.Number} failed ({outcome}), and its {operation.Durable.Name} is durable.");
    }

    /// <summary>The application was told that it is done, and not yet that it is durable.</summary>
    public void AcknowledgeEarly(Operation operation)
    {
        CheckThread();
        Coverage.Hit("acknowledged early");
        operation.AckOrder = ++_sequence;
        operation.State = OperationState.Deferred;
        if (operation.Commits.Count == 0) Fail("S7", $"Operation {operation.Number} was acknowledged early, and nothing was sealed.");
        if (IsTracing) operation.Tab.Trace($"op {operation.Number} is acknowledged early");

        // Where the store answers at once, its failure was told before.
        if (operation is { IsTakenBack: true, Durable: null }) End(operation, OperationState.Unknown, "taken back at once");
    }

    /// <summary>The application was told that these are durable.</summary>
    public void OnSynced(IEnumerable<Operation> operations, string what)
    {
        foreach (var operation in operations)
        {
            if (operation.State != OperationState.Deferred || operation.Tab.IsGone) continue;
            if (operation.Durable is null) Fail("S4", $"{what} of {operation.Tab.Name} succeeded, and operation {operation.Number}, acknowledged before, is not durable.");
            else End(operation, OperationState.Done, "synced");
        }
    }

    /// <summary>The application was told how many of these failed; which, it must look up.</summary>
    public void OnSyncFailed(
        IReadOnlyList<Operation> operations, IReadOnlyList<Operation> maybe, IReadOnlyList<Operation> later, int failed, Exception error)
    {
        foreach (var operation in operations.Union(maybe).Where(o => o.State == OperationState.Deferred && o.Durable is not null)) End(operation, OperationState.Done, "synced");
        var lost = operations.Where(o => o.State == OperationState.Deferred).ToList();
        if (lost.Count > failed) Fail("S7", $"A sync told of {failed} failures, and {lost.Count} of the writes that were acknowledged before are not durable.");

        // More than it began with: some that were written, and taken back, while it was under way.
        if (failed > lost.Count) maybe = [.. maybe.Union(later)];
        var isCertain = failed == 1 && operations.All(o => o.Tab.Fault is null) && error is not (NoLeaderException or StorageClosedException or StoreReplacedException or OperationCanceledException);
        foreach (var operation in maybe) operation.IsTakenBack |= operation is { State: OperationState.Running, Durable: null };
        foreach (var operation in maybe.Where(o => o.State == OperationState.Deferred))
            End(operation, isCertain && lost.Contains(operation) ? OperationState.Failed : OperationState.Unknown, $"deferred, {error.GetType().Name}");
    }

    /// <summary>Writes of one tab become durable in the order in which they were acknowledged.</summary>
    private void CheckOrder(Operation durable)
    {
        if (durable.AckOrder == 0) return;
        if (_operations.Find(o => o.Tab == durable.Tab && o != durable && o.Durable is not null && o.StartOrder > durable.AckOrder) is { } later)
            Fail("order", $"Operation {durable.Number} was acknowledged before operation {later.Number} began, and became durable behind it.");
    }

    /// <summary>What each application was told, against the list that the database itself holds.</summary>
    private void CheckHistory()
    {
        foreach (var life in _lives.Values)
        {
            if (Violation is not null) return;
            var history = life.History.Skip(1).Select(p => _commits[p.Commit].Operation!).ToList();
            if (life == _life && life.End.Marker > 0 && WritePlan.ReadList(ReadFirstBlock()) is { } list && !list.SequenceEqual(history.Select(o => o.Number)))
                Fail("history", $"The database lists the operations {string.Join(' ', list)}; its commits are {string.Join(' ', history.Select(o => o.Number))}.");
            if (HistoryChecker.FindViolation(_operations.Select(o => Tell(o, life)), [.. history.Select(o => (o.Tab.Name, (long)o.Number))]) is { } wrong)
                Fail("history", wrong);
        }
    }

    private static HistoryWrite Tell(Operation operation, StoreLife life)
    {
        var isSilent = operation.State is OperationState.Running or OperationState.Deferred;
        var outcome = operation.State switch
        {
            OperationState.Failed => WriteOutcome.Refused,
            OperationState.Done when operation.Commits.Count > 0 && operation.Life == life => WriteOutcome.Acknowledged,
            _ => WriteOutcome.Unknown,
        };
        return new(operation.Tab.Name, operation.Number, operation.StartMs, isSilent ? null : operation.EndMs, outcome);
    }

    private byte[] ReadFirstBlock()
    {
        using var loaded = LoadStore();
        return loaded.Value.Image.Find(0) is { } extent ? extent.Block(0).ToArray() : new byte[Extent.BlockSize];
    }
}
