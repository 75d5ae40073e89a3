using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;

namespace DataSync.PostgreSql;

/// <summary>A schema of a PostgreSQL database, with any number of databases in it. All factories that name it, in whatever process, are tabs of each other.</summary>
internal sealed class PostgresPlace(PostgresSource source, ChecksumKind checksum) : IDatabasePlace, IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, PostgresLink> _links = [];

    public Task StartSqliteAsync()
    {
        SqliteNative.Initialize();
        return Task.CompletedTask;
    }

    public IBlockStore CreateStore(string name) => new PostgresBlockStore(source, LinkOf(name), name, checksum);

    public (ITabPlatform Platform, ICommitChannel Channel) CreateTab(string name) =>
        (new PostgresTabPlatform(source, LinkOf(name)), new PostgresCommitChannel(source, LinkOf(name), name));

    public ICommitChannel CreateChannel(string name) => new PostgresCommitChannel(source, LinkOf(name), name, isOwn: false);

    public ValueTask DisposeAsync() => source.DisposeAsync();

    /// <summary>What one tab has of a database shares a session; it costs nothing while nobody uses it.</summary>
    private PostgresLink LinkOf(string name)
    {
        lock (_gate)
        {
            if (!_links.TryGetValue(name, out var link)) _links.Add(name, link = new(source, name));
            return link;
        }
    }
}
