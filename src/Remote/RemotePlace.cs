using System.Security.Cryptography;
using System.Text;
using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Extensions.Logging;

namespace DataSync.Remote;

/// <summary>The databases of a server.</summary>
/// <param name="address">Of the server.</param>
/// <param name="options">Times and tokens.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">The log.</param>
/// <param name="browser">Joins the tabs of a browser that share a scope; null where there are none.</param>
/// <param name="copies">Makes the store of a copy, by its scope; null where there can be none.</param>
/// <param name="journals">Makes the journal of deferred writes, by its scope; null where they are not kept.</param>
internal sealed class RemotePlace(
    Uri address, DataSyncRemoteOptions options, TimeProvider time, ILogger logger, Func<string, (ITabPlatform Platform, ICommitChannel Channel)>? browser = null,
    Func<string, ICopyStore>? copies = null, Func<string, IDeferredJournal>? journals = null) : IDatabasePlace
{
    private const int MaxNameInScope = 100;

    private readonly Lock _gate = new();
    private readonly Dictionary<(string Name, string? User), RemoteLink> _links = [];

    public Task StartSqliteAsync()
    {
        if (OperatingSystem.IsBrowser()) return SqliteWasm.InitializeAsync();
        SqliteNative.Initialize();
        return Task.CompletedTask;
    }

    public IBlockStore CreateStore(string name)
    {
        var link = LinkOf(name);
        var copy = copies is null || !options.KeepCopy ? null : new RemoteCopy(copies(ScopeOf(name, options.UserKey?.Invoke())), link, name);
        return new RemoteBlockStore(link, link.Copy = copy);
    }

    /// <summary>Deletes what this browser keeps of a database, also where none is kept any more.</summary>
    public async Task DeleteCopyAsync(string name, CancellationToken cancellationToken)
    {
        if (copies is null) return;
        var copy = copies(ScopeOf(name, options.UserKey?.Invoke()));
        await using var end = copy.ConfigureAwait(false);
        await copy.DeleteAsync(cancellationToken).ConfigureAwait(false);
    }

    public (ITabPlatform Platform, ICommitChannel Channel) CreateTab(string name) => (new RemoteTabPlatform(LinkOf(name)), new RemoteCommitChannel(LinkOf(name), name));

    public IDeferredJournal? CreateJournal(string name) => journals?.Invoke(ScopeOf(name, options.UserKey?.Invoke()));

    /// <summary>What one tab has of a database shares a line; it costs nothing while nobody uses it.</summary>
    private RemoteLink LinkOf(string name)
    {
        var user = options.UserKey?.Invoke();
        lock (_gate)
        {
            if (!_links.TryGetValue((name, user), out var link)) _links.Add((name, user), link = new(address, name, options, time, logger, browser is null ? null : () => MakeTabs(browser, name, user)));
            return link;
        }
    }

    private BrowserTabs MakeTabs(Func<string, (ITabPlatform Platform, ICommitChannel Channel)> make, string name, string? user)
    {
        var scope = ScopeOf(name, user);
        var (platform, channel) = make(scope);
        return new(platform, channel, scope, name, time, logger);
    }

    /// <summary>Names what the tabs share; one of another server, database or user must not have it.</summary>
    private string ScopeOf(string name, string? user)
    {
        var hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{address}\n{name}\n{user}")).AsSpan(0, 16));
        return $"remote:{(name.Length > MaxNameInScope ? name[..MaxNameInScope] : name)}:{hash}";
    }
}
