using Microsoft.EntityFrameworkCore.Storage;

namespace DataSync.EntityFrameworkCore;

/// <summary>Work of several transactions that no other tab may come between, and that is durable as a whole or not at all.</summary>
internal static class HeldTurn
{
    /// <summary>Waits for the turn, does the work, and returns when all of it is durable; once more, from its beginning, where another tab was let in.</summary>
    public static Task<T> RunAsync<T>(
        DataSyncRelationalConnection connection, IExecutionStrategy strategy, Func<CancellationToken, Task<T>> work, CancellationToken cancellationToken) =>
        strategy.ExecuteAsync(
            (connection, work),
            static async (_, state, token) =>
            {
                await state.connection.OpenAsync(token).ConfigureAwait(false);
                try
                {
                    await state.connection.DataSync.HoldTurnAsync(token).ConfigureAwait(false);
                    try
                    {
                        var result = await state.work(token).ConfigureAwait(false);
                        await state.connection.DataSync.ReleaseTurnAsync().ConfigureAwait(false);
                        return result;
                    }
                    catch
                    {
                        state.connection.DataSync.DropTurn();
                        throw;
                    }
                }
                finally
                {
                    await state.connection.CloseAsync().ConfigureAwait(false);
                }
            },
            verifySucceeded: null,
            cancellationToken);
}
