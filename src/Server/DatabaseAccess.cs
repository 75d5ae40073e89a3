namespace DataSync.Server;

/// <summary>What a user may do with a database.</summary>
public enum DatabaseAccess
{
    /// <summary>Nothing: it is not opened.</summary>
    None,

    /// <summary>Read all of it, and follow.</summary>
    Read,

    /// <summary>Read and write all of it.</summary>
    Write,
}
