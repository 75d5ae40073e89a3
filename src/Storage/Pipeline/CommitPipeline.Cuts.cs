namespace DataSync.Storage;

// A tab that cannot lead, and whose connection to who does may be away.
internal sealed partial class CommitPipeline
{
    /// <summary>Whether this tab never leads.</summary>
    internal bool IsObserver => _core.IsObserver;

    /// <inheritdoc cref="LeaderRoute.IsCut"/>
    internal bool IsCut => _core.Gate.Run(() => _route.IsCut);

    /// <summary>Whether nothing may be written, whoever leads.</summary>
    internal bool IsReadOnly => _link.ReadOnlyReason is not null;

    /// <summary>Whether nothing more may happen in it.</summary>
    internal bool IsStopped => _core.IsStopped;

    /// <summary>
    /// Waits for something that this tab's writes wait for; where a connection may be away for days, no longer than a write may take. Nothing is taken back then.
    /// </summary>
    /// <param name="task">What is waited for.</param>
    /// <param name="gates">Whether the wait goes on while the leader can be reached: what is waited for then needs many writes to end.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="NoLeaderException">It did not come in time.</exception>
    internal async Task WaitWithinCutAsync(Task task, bool gates, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                await (IsObserver ? task.WaitAsync(_core.Options.WriteTimeout, _core.Time, cancellationToken) : task.WaitAsync(cancellationToken)).ConfigureAwait(false);
                return;
            }
            catch (TimeoutException)
            {
                if (gates && !IsCut) continue;
                throw NoLeaderException.NotDurableYet(_core.Options.WriteTimeout, _core.Gate.Run(() => _outbox.HasSent));
            }
        }
    }
}
