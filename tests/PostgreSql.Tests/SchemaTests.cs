using System.Reflection;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Npgsql;
using Xunit;

namespace DataSync.PostgreSql.Tests;

/// <summary>The schema makes itself, and what does not fit is said so.</summary>
[Collection(PostgresCollection.Name)]
public sealed class SchemaTests(PostgresCluster cluster)
{
    [Fact]
    public async Task Many_that_start_at_once_make_one_schema()
    {
        var name = $"of \"many\" {Guid.NewGuid():N}";
        var sources = Enumerable.Range(0, 8).Select(_ => new PostgresStoreSource(cluster, new() { Schema = name }).NewSource()).ToList();
        await Task.WhenAll(sources.Select(source => source.EnsureSchemaAsync(default).AsTask()));
        Assert.Equal(1, await cluster.QueryAsync<long>($"SELECT count(*) FROM {sources[0].Schema}.versions"));
        foreach (var source in sources)
        {
            await source.EnsureSchemaAsync(default);
            await source.DisposeAsync();
        }

        await cluster.ExecuteAsync($"DROP SCHEMA {sources[0].Schema} CASCADE");
    }

    [Fact]
    public async Task A_schema_of_a_newer_version_is_left_alone()
    {
        await using var source = new PostgresStoreSource(cluster, new() { Schema = "newer" }).NewSource();
        await cluster.ExecuteAsync("CREATE SCHEMA newer; CREATE TABLE newer.versions (version int); INSERT INTO newer.versions VALUES (99)");
        await using var factory = Sqlite.NewFactory(cluster.ConnectionString, postgres: new() { Schema = "newer" });
        Assert.Equal(99, (await Assert.ThrowsAsync<StoreFormatException>(() => factory.OpenAsync())).Found);
        await cluster.ExecuteAsync("DROP SCHEMA newer CASCADE");
    }

    [Fact]
    public async Task A_role_that_may_not_make_the_schema_is_told_what_to_ask_for_and_needs_no_more_than_that()
    {
        await cluster.ExecuteAsync("CREATE ROLE humble LOGIN");
        var connection = new NpgsqlConnectionStringBuilder(cluster.ConnectionString) { Username = "humble" }.ConnectionString;
        await using (var factory = Sqlite.NewFactory(connection, postgres: new() { Schema = "humbles" }))
        {
            var error = await Assert.ThrowsAsync<StorageUnavailableException>(() => factory.OpenAsync());
            Assert.Contains("GRANT", error.Message, StringComparison.Ordinal);
            await cluster.ExecuteAsync("CREATE SCHEMA humbles; GRANT USAGE, CREATE ON SCHEMA humbles TO humble");
            var database = await factory.OpenAsync();
            await database.ExecuteAsync("CREATE TABLE t(x)");
        }

        await cluster.ExecuteAsync("DROP SCHEMA humbles CASCADE; DROP ROLE humble");
    }

    [Fact]
    public async Task A_schema_that_was_dropped_under_an_open_store_is_another_store()
    {
        var source = new PostgresStoreSource(cluster, new() { Schema = "dropped" });
        await using var store = source.NewStore();
        var head = await store.OpenAsync(default);
        await cluster.ExecuteAsync("DROP SCHEMA dropped CASCADE");
        await Assert.ThrowsAsync<StorageClosedException>(async () => await store.RaiseEpochAsync(head.Incarnation, default, default, default));
        Assert.NotEqual(head.Incarnation, (await store.OpenAsync(default)).Incarnation);
        await source.RemoveAsync();
        await cluster.ExecuteAsync("DROP SCHEMA dropped CASCADE");
    }

    [Theory]
    [InlineData("", "datasync", "connectionString")]
    [InlineData("Database=x", "datasync", "no host")]
    [InlineData("Host=x;Multiplexing=true", "datasync", "multiplexing")]
    [InlineData("Host=x;Maximum Pool Size=2", "datasync", "Maximum Pool Size")]
    [InlineData("Host=x", "", "Schema")]
    [InlineData("Host=x", "pg_mine", "Schema")]
    [InlineData("Host=x;Hots=y", "datasync", "Hots")]
    public void What_does_not_fit_is_refused_before_anything_is_opened(string connectionString, string schema, string word) => Assert.Contains(
        word, Assert.ThrowsAny<ArgumentException>(() => DataSyncPostgres.CreateFactory(connectionString, postgres: new() { Schema = schema })).Message, StringComparison.OrdinalIgnoreCase);

    [Fact]
    public void Times_out_of_their_range_are_refused()
    {
        Action<PostgresOptions>[] wrong =
        [
            o => o.CommandTimeout = TimeSpan.FromMilliseconds(1500), o => o.CommandTimeout = TimeSpan.Zero,
            o => o.ReconnectTimeout = TimeSpan.FromDays(2), o => o.BlockerGrace = TimeSpan.Zero,
        ];
        foreach (var configure in wrong)
            Assert.ThrowsAny<ArgumentException>(() => new ServiceCollection().AddDataSyncPostgres("Host=x", configurePostgres: configure));
        Assert.ThrowsAny<ArgumentException>(() => DataSyncPostgres.CreateFactory("Host=x", new DataSyncOptions { Directory = "/tmp" }));
    }

    [Fact]
    public void Every_log_message_is_listed_and_its_id_is_in_the_band_of_this_library()
    {
        var folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "DataSync.sln"))) folder = Path.GetDirectoryName(folder)!;
        var messages = typeof(Log).GetMethods(BindingFlags.Static | BindingFlags.Public).Select(method => method.GetCustomAttribute<LoggerMessageAttribute>()!).ToList();
        Assert.All(messages, message => Assert.InRange(message.EventId, 4000, 4999));
        Assert.Equal(
            messages.Select(message => $"| {message.EventId} | {message.Level} | {message.Message} |").Order(),
            File.ReadLines(Path.Combine(folder, "docs", "SERVER.md")).Where(line => line.StartsWith("| 4", StringComparison.Ordinal)).Order());
    }

    [Fact]
    public async Task A_container_gives_the_process_one_factory()
    {
        SQLitePCL.Batteries_V2.Init();
        var services = new ServiceCollection();
        services.AddDataSyncPostgres(cluster.ConnectionString, o => o.Database("contained.db"));
        await using (var provider = services.BuildServiceProvider())
        {
            await using var scope = provider.CreateAsyncScope();
            var factory = scope.ServiceProvider.GetRequiredService<DataSyncFactory>();
            Assert.Same(factory, provider.GetRequiredService<DataSyncFactory>());
            var database = await factory.OpenAsync();
            await database.ExecuteAsync("CREATE TABLE t(x)");
        }

        await using var data = NpgsqlDataSource.Create(cluster.ConnectionString);
        await using var again = DataSyncPostgres.CreateFactory(data);
        Assert.Equal([1], await (await again.OpenAsync("contained.db")).QueryAsync<long>("SELECT count(*) FROM sqlite_schema"));
        await again.DeleteAsync("contained.db");
    }
}
