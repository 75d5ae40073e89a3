using System.Security.Cryptography;
using DataSync.Coordination;

namespace DataSync.Server;

/// <summary>Who speaks for a tab: over one connection, until that ends or the tab leaves.</summary>
internal interface ITabSpeaker
{
    /// <summary>Completes when it neither speaks nor listens for the tab any more.</summary>
    Task Left { get; }

    /// <summary>Another connection is the tab's now. Returns before it has left.</summary>
    void End(string why);
}

/// <summary>
/// Who speaks for which tab. A tab's id is no secret, so it joins with one: only who knows that takes it over after a cut. Any thread may call.
/// </summary>
internal sealed class TabClaims
{
    private readonly Lock _gate = new();
    private readonly Dictionary<TabId, Claim> _claims = [];

    /// <summary>Takes a tab; the one that had it is ended.</summary>
    /// <param name="tab">The tab.</param>
    /// <param name="secret">What the client proves by that it is the same.</param>
    /// <param name="speaker">Who speaks for it from here on.</param>
    /// <param name="isFree">
    /// Completes when all that spoke for the tab before have left. Until then one of them may still take back what is the tab's: what it listens to, or its request for the write turn.
    /// </param>
    /// <returns>False: it is another one's.</returns>
    public bool TryClaim(TabId tab, byte[] secret, ITabSpeaker speaker, out Task isFree)
    {
        Claim? former;
        lock (_gate)
        {
            former = _claims.GetValueOrDefault(tab) is { IsOver: false } claim ? claim : null;
            if (former is not null && !CryptographicOperations.FixedTimeEquals(former.Secret, secret))
            {
                isFree = Task.CompletedTask;
                return false;
            }

            // Not only the last one: it may have been cut off while it waited for the one before.
            isFree = former is null ? Task.CompletedTask : Task.WhenAll(former.WasFree, former.Speaker.Left);
            _claims[tab] = new(speaker, secret, isFree);
        }

        former?.Speaker.End("The client has connected anew.");
        return true;
    }

    /// <summary>Whoever spoke for a tab has left. Where those before have not, the next one has to wait for them all the same.</summary>
    public void Release(TabId tab, ITabSpeaker speaker)
    {
        Task wasFree;
        lock (_gate)
        {
            if (_claims.GetValueOrDefault(tab) is not { } claim || claim.Speaker != speaker) return;
            wasFree = claim.WasFree;
            if (wasFree.IsCompleted) _claims.Remove(tab);
        }

        if (!wasFree.IsCompleted) _ = ReleaseLaterAsync(tab, speaker, wasFree);
    }

    private async Task ReleaseLaterAsync(TabId tab, ITabSpeaker speaker, Task wasFree)
    {
        await wasFree.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Release(tab, speaker);
    }

    /// <param name="Speaker">Who speaks for it.</param>
    /// <param name="Secret">Its secret.</param>
    /// <param name="WasFree">When all before had left.</param>
    private sealed record Claim(ITabSpeaker Speaker, byte[] Secret, Task WasFree)
    {
        public bool IsOver => WasFree.IsCompleted && Speaker.Left.IsCompleted;
    }
}
