using DataSync.Storage;
using Xunit;

namespace DataSync.Vfs.Tests.Native;

/// <summary>What <see cref="DataSyncFactory"/> opens outside the browser.</summary>
public sealed class DirectoryTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("datasync-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_database_in_a_directory_is_there_again()
    {
        await using (var factory = NewFactory())
        {
            var database = await factory.OpenAsync();
            await database.ExecuteAsync("CREATE TABLE t(v); INSERT INTO t VALUES (7)");
        }

        Assert.True(FileBlockStore.ExistsIn(Path.Combine(_folder, "app.db")));
        await using var next = NewFactory();
        Assert.Equal([7L], await (await next.OpenAsync()).QueryAsync<long>("SELECT v FROM t"));
    }

    [Fact]
    public async Task Factories_of_one_process_are_tabs_of_one_database()
    {
        await using var first = NewFactory();
        await using var second = NewFactory();
        var one = await first.OpenAsync();
        var two = await second.OpenAsync();
        Assert.NotEqual(one.ConnectionString, two.ConnectionString);
        var created = await one.ExecuteAsync("CREATE TABLE t(v)");
        await NativeTabs.WaitForAsync(two, created.Marker);
        var written = await two.ExecuteAsync("INSERT INTO t VALUES (1)");
        await NativeTabs.WaitForAsync(one, written.Marker);
        Assert.Equal([1L], await one.QueryAsync<long>("SELECT v FROM t"));

        await first.DisposeAsync();
        await two.ExecuteAsync("INSERT INTO t VALUES (2)").WaitAsync(NativeTabs.Patience);
        Assert.Equal([1L, 2L], await two.QueryAsync<long>("SELECT v FROM t"));
    }

    [Fact]
    public async Task Databases_of_one_name_in_two_directories_have_nothing_in_common()
    {
        await using var first = NewFactory();
        await using var second = new DataSyncFactory(options: new() { Directory = Path.Combine(_folder, "second") });
        await (await first.OpenAsync()).ExecuteAsync("CREATE TABLE first(v)");
        await (await second.OpenAsync()).ExecuteAsync("CREATE TABLE second(v)");
        Assert.Equal(["first"], await (await first.OpenAsync()).QueryAsync<string>("SELECT name FROM sqlite_schema"));
        Assert.Equal(["second"], await (await second.OpenAsync()).QueryAsync<string>("SELECT name FROM sqlite_schema"));
    }

    [Fact]
    public async Task A_mirror_can_be_opened_in_place_of_the_first()
    {
        var mirror = Path.Combine(_folder, "mirror");
        await using (var factory = new DataSyncFactory(options: new() { Directory = _folder, MirrorDirectory = mirror }))
            await (await factory.OpenAsync()).ExecuteAsync("CREATE TABLE t(v)");
        await using var other = new DataSyncFactory(options: new() { Directory = mirror });
        Assert.Equal(["t"], await (await other.OpenAsync()).QueryAsync<string>("SELECT name FROM sqlite_schema"));
    }

    [Fact]
    public async Task A_deleted_database_is_empty_when_it_is_opened_again()
    {
        await using var factory = NewFactory();
        await (await factory.OpenAsync()).ExecuteAsync("CREATE TABLE t(v)");
        await factory.DeleteAsync("app.db");
        Assert.False(FileBlockStore.ExistsIn(Path.Combine(_folder, "app.db")));
        Assert.Empty(await (await factory.OpenAsync()).QueryAsync<string>("SELECT name FROM sqlite_schema"));
    }

    [Fact]
    public void A_mirror_of_nothing_is_refused() => Assert.Throws<ArgumentException>(() => new DataSyncOptions { MirrorDirectory = _folder }.Validate());

    private DataSyncFactory NewFactory() => new(options: new() { Directory = _folder });
}
