using DataSync.Storage;

namespace DataSync.Simulation;

// Writes that the leader runs for another tab.
internal sealed partial class SimTab
{
    private long _runs;

    /// <summary>Whether it is durable; otherwise this tab runs it itself.</summary>
    private async Task<bool> TrySendAsync(Operation operation, WritePlan plan, CancellationToken cancellationToken)
    {
        operation.Statements = plan;
        if (Pipeline.TrySendStatements(BitConverter.GetBytes(operation.Number), cancellationToken) is not { } sent) return false;
        operation.WasSent = true;
        _world.Coverage.Hit("statements sent");
        Trace($"op {operation.Number} is sent as statements");
        var outcome = await sent;
        operation.WasSent = false;
        if (outcome.IsStale)
        {
            _world.Coverage.Hit("statements refused");
            Trace($"op {operation.Number} was refused as statements");
            _world.OnStale(operation);
            return false;
        }

        _world.Coverage.Hit(outcome.Result is null ? "statements done, their result forgotten" : "statements done");
        if (outcome.Result is { } result && result != ResultOf(operation)) _world.Fail("S7", $"Operation {operation.Number} was told {result}.");
        _world.Acknowledge(operation, outcome.Result is null ? null : outcome.Position);
        return true;
    }

    private StatementRun RunStatements(byte[] body)
    {
        var operation = _world.FindOperation(BitConverter.ToInt32(body));
        var plan = operation.Statements!;
        var storage = Pipeline.Storage;
        if (_readers > 0 || storage.InBatch || _writer!.TryBegin() is not null)
        {
            _world.Coverage.Hit("statements find this tab busy");
            return new(StatementEnd.Failed);
        }

        _world.CheckImage(this, "at the start of statements");
        var image = _world.ImageAt(storage.Top).Copy();
        try
        {
            CheckPages(_writer, image, "at the start of statements", Needs(plan.Reads));
            plan.First(_writer, image, operation.Number);
            WritePlan.AtRandom(_writer, image, (long)Slot << 32 | ++_runs);
            plan.Second(_writer, image, operation.Number);
        }
        catch (NotResidentException)
        {
            _world.Coverage.Hit("statements need what is missing");
            _writer.Rollback();
            return new(StatementEnd.Failed);
        }

        if (plan.RollsBack)
        {
            _writer.Rollback();
            return new(plan.IsExclusive ? StatementEnd.Unfit : StatementEnd.Failed);
        }

        _world.OnSealed(operation.Tab, storage.NextCommit!.Id, ++operation.Tab._commits, operation, storage.Top, image);
        _writer.Commit();
        _world.Coverage.Hit(operation.Tab == this ? "statements run in their own tab" : "statements run");
        if (!plan.FailsLate) return new(StatementEnd.Committed, ResultOf(operation));
        _world.Coverage.Hit("statements failed behind their commit");
        return new(StatementEnd.Failed);
    }

    private static StatementResult ResultOf(Operation operation) => new(operation.Number, operation.Number % 3 == 0 ? null : operation.Number * 7L);
}
