using System.Data.Common;
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

    private static readonly TimeSpan MostDelay = TimeSpan.FromSeconds(1);

    public override bool RetriesOnFailure => false;

    protected override bool ShouldRetryOn(Exception exception) =>
        exception is DbException { IsTransient: true } && Dependencies.CurrentContext.Context.Database.CurrentTransaction is null;
}

internal sealed class DataSyncExecutionStrategyFactory(ExecutionStrategyDependencies dependencies) : IExecutionStrategyFactory
{
    public IExecutionStrategy Create() => new DataSyncExecutionStrategy(dependencies);
}
