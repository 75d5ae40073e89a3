namespace DataSync.Storage;

// Statements that the leader runs for this tab, and this one for others.
internal sealed partial class CommitPipeline
{
    /// <summary>So many commits of its own in a row, and a tab is alone.</summary>
    private const int AloneAfter = 4;

    /// <summary>Runs other tabs' statements while this tab leads; null: they are refused, and their tabs run them.</summary>
    internal StatementRunner? StatementRunner { set => _leadership.Runner = value; }

    /// <inheritdoc cref="IBlockStore.TakesCommits"/>
    internal bool TakesCommits => _link.TakesCommits;

    /// <summary>
    /// Whether a write of this tab goes faster as statements: another tab leads, and one of the last few commits was not this tab's. Or it can go in no other way.
    /// </summary>
    internal bool PrefersStatements =>
        _core.Gate.Run(() => !_leadership.IsHere && _peers.Leader is not null && _image.IsOpen && (_image.OwnInARow < AloneAfter || !TakesCommits));

    /// <summary>Whether statements can be sent at this moment.</summary>
    internal bool MaySendStatements => _core.Gate.Run(() => _slots.MaySendStatements);

    /// <summary>
    /// Sends statements to the leader, which runs them as one transaction; completes when that is durable and shown here, or with a stale
    /// outcome: then they are to be run in this tab. Null when something else of this tab comes first.
    /// </summary>
    /// <param name="body">The statements, as <see cref="StatementRunner"/> reads them.</param>
    /// <param name="cancellationToken">Withdraws them while they wait to be sent; then nothing of them is run.</param>
    internal Task<StatementOutcome>? TrySendStatements(byte[] body, CancellationToken cancellationToken) => _core.Gate.Run(() =>
    {
        _core.ThrowIfUnusable();
        return _slots.MaySendStatements ? _outbox.Statements.Send(body, cancellationToken) : null;
    });
}
