using Xunit;

namespace DataSync.PostgreSql.Tests;

public sealed partial class PostgresCluster : IAsyncLifetime;

/// <summary>One server for all; tests that crash it must not be beside others.</summary>
[CollectionDefinition(Name)]
public sealed class PostgresCollection : ICollectionFixture<PostgresCluster>
{
    public const string Name = "PostgreSQL";
}
