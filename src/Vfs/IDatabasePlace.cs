using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Vfs;

/// <summary>Where a factory's databases are, and what makes it a tab of one.</summary>
internal interface IDatabasePlace
{
    /// <summary>Starts SQLite; again: no effect.</summary>
    Task StartSqliteAsync();

    /// <summary>Makes the store of a database; nothing is opened yet.</summary>
    IBlockStore CreateStore(string name);

    /// <summary>Makes what joins a database's tabs; nothing is opened yet.</summary>
    (ITabPlatform Platform, ICommitChannel Channel) CreateTab(string name);

    /// <summary>Makes what keeps a database's deferred writes over the end of a tab; nothing is opened yet. Null: there is none, as where what a tab writes needs no network to be durable.</summary>
    IDeferredJournal? CreateJournal(string name) => null;

    /// <summary>
    /// Makes the channel of a tab elsewhere, for which this process speaks: it has no part in the election. While it is used, a tab of this process has the database open.
    /// </summary>
    /// <exception cref="NotSupportedException">Nobody can speak for another here.</exception>
    ICommitChannel CreateChannel(string name) => throw new NotSupportedException("Databases are served from a directory or from PostgreSQL.");
}
