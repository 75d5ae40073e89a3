using System.Data.Common;
using DataSync.Storage;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.ChangeTracking.Internal;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Metadata.Internal;
using Microsoft.EntityFrameworkCore.Storage;

namespace DataSync.EntityFrameworkCore;

/// <summary>
/// Runs a unit of work again when nothing of it was kept because another tab was first, or leave to write did not come in time.
/// </summary>
/// <remarks>
/// It says of itself that it does not retry: otherwise EF Core would refuse transactions of the application's own, and hold the rows of every query in
/// memory, though reading here never fails in passing.
/// </remarks>
internal sealed class DataSyncExecutionStrategy(ExecutionStrategyDependencies dependencies) : ExecutionStrategy(dependencies, MaxRetries, MostDelay)
{
    // Each of them has waited for the turn already; who is refused so often should hear of it.
    private const int MaxRetries = 6;

    // What is missing in memory comes in with each of them and stays, so there is an end to it: a transaction meets at most as many places as it touches.
    private const int MaxLoads = 1000;

    private static readonly TimeSpan MostDelay = TimeSpan.FromSeconds(1);

    private int _loads;
    private bool _hasLoaded;

    public override bool RetriesOnFailure => false;

    protected override bool ShouldRetryOn(Exception exception) =>
        exception is DbException { IsTransient: true } && Dependencies.CurrentContext.Context.Database.CurrentTransaction is null && !HasRenumbered();

    protected override void OnFirstExecution()
    {
        _loads = 0;
        base.OnFirstExecution();
    }

    // Nobody was first, and nothing is waited for: what was missing is there.
    protected override TimeSpan? GetNextDelay(Exception lastException)
    {
        _hasLoaded = CallOnWrappedException(lastException, static error => error is NotResidentException) && _loads++ < MaxLoads;
        return _hasLoaded ? TimeSpan.Zero : base.GetNextDelay(lastException);
    }

    protected override void OnRetry()
    {
        if (_hasLoaded) ExceptionsEncountered.RemoveAt(ExceptionsEncountered.Count - 1); // they do not count
        base.OnRetry();
    }

    // EF Core numbers the elements of a JSON collection when it saves. Of one that is not changed itself it does not take the new number back when that fails (seen in 10.0): it stays in the place of one that
    // was removed, and saved again the removal would be left out, without a word. So the app is told, and runs its work again with a new context.
    private bool HasRenumbered()
    {
        foreach (var entry in Dependencies.CurrentContext.Context.GetService<IStateManager>().Entries)
        {
            if (entry.EntityState != EntityState.Unchanged || !entry.EntityType.IsMappedToJson()) continue;
            foreach (var property in entry.EntityType.FindPrimaryKey()!.Properties)
            {
                if (!property.IsOrdinalKeyProperty()) continue;
                entry.DiscardStoreGeneratedValues();
                if (!Equals(entry.GetCurrentValue(property), entry.GetRelationshipSnapshotValue(property))) return true;
            }
        }

        return false;
    }
}

internal sealed class DataSyncExecutionStrategyFactory(ExecutionStrategyDependencies dependencies) : IExecutionStrategyFactory
{
    public IExecutionStrategy Create() => new DataSyncExecutionStrategy(dependencies);
}
