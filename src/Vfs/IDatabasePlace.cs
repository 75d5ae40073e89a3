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
}
