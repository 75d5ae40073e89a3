using System.Text.Json;
using DataSync.Cli;
using Microsoft.Data.Sqlite;
using Spectre.Console;
using Xunit;

namespace DataSync.PostgreSql.Tests;

/// <summary>The tool on databases in PostgreSQL, beside a process that has them open.</summary>
[Collection(PostgresCollection.Name)]
public sealed class ToolTests(PostgresCluster cluster) : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("datasync-pg-tool-").FullName;
    private readonly string _name = $"tool-{Guid.NewGuid():N}.db";

    public Task InitializeAsync()
    {
        SQLitePCL.Batteries_V2.Init();
        return Task.CompletedTask;
    }

    public Task DisposeAsync()
    {
        SqliteConnection.ClearAllPools();
        Directory.Delete(_folder, recursive: true);
        return Task.CompletedTask;
    }

    [Fact]
    public async Task A_database_goes_in_beside_a_process_that_has_it_open_and_comes_out()
    {
        await using var factory = DataSyncPostgres.CreateFactory(cluster.ConnectionString);
        var db = await factory.OpenAsync(_name);
        await db.ExecuteAsync("CREATE TABLE note(text)");
        await db.ExecuteAsync("INSERT INTO note VALUES ('before')");
        var file = MakeDatabase("in.db", "imported");
        await RunAsync(ExitCode.Ok, "import", file);

        // The process that led leads again, on top of it.
        await db.ExecuteAsync("INSERT INTO note VALUES ('after')");
        Assert.Equal(["imported", "after"], await db.QueryAsync<string>("SELECT text FROM note ORDER BY rowid"));
        var exported = Path.Combine(_folder, "out.db");
        await RunAsync(ExitCode.Ok, "export", exported);
        Assert.Equal("imported,after", Read(exported));

        var info = await RunJsonAsync("info");
        Assert.Contains(_name, info.GetProperty("store").GetString(), StringComparison.Ordinal);
        Assert.Equal(db.Marker, info.GetProperty("marker").GetInt64());
        var log = await RunJsonAsync("log");
        Assert.Equal(db.Marker, log.GetProperty("commits").EnumerateArray().Last().GetProperty("marker").GetInt64());
    }

    [Fact]
    public async Task What_is_damaged_is_found_repaired_and_kept_aside()
    {
        await RunAsync(ExitCode.Ok, "import", MakeDatabase("in.db", "one"));
        await RunAsync(ExitCode.Ok, "import", MakeDatabase("in2.db", "two"));
        await RunAsync(ExitCode.Ok, "verify");
        const string OfThis = "database = (SELECT id FROM datasync.databases WHERE name = $1)";
        await cluster.ExecuteAsync($"UPDATE datasync.log SET bytes = set_byte(bytes, length(bytes) - 1, get_byte(bytes, length(bytes) - 1) # 1) WHERE marker = 2 AND {OfThis}", _name);
        await RunAsync(ExitCode.Damaged, "verify");
        Assert.True((await RunJsonAsync("repair")).GetProperty("isRepaired").GetBoolean());
        var kept = Assert.Single((await RunJsonAsync("info")).GetProperty("quarantine").EnumerateArray());
        Assert.Equal("log 2", kept.GetProperty("name").GetString());
        Assert.True(kept.GetProperty("bytes").GetInt64() > 4096);
        await RunAsync(ExitCode.Ok, "verify");
        var exported = Path.Combine(_folder, "out.db");
        await RunAsync(ExitCode.Ok, "export", exported);
        Assert.Equal("one", Read(exported));
    }

    [Fact]
    public async Task What_is_not_there_is_said_and_nothing_is_made()
    {
        Assert.Contains(_name, await RunAsync(ExitCode.Unavailable, "info"), StringComparison.Ordinal);
        Assert.Contains(_name, await RunAsync(ExitCode.Unavailable, "info"), StringComparison.Ordinal); // the first look made none
        await RunAsync(ExitCode.Unavailable, "info", "--schema", "no_such_schema");
        Assert.Equal(0, await cluster.QueryAsync<long>("SELECT count(*) FROM pg_namespace WHERE nspname = 'no_such_schema'"));
        await RunAsync(ExitCode.Unavailable, "delete");
        await RunAsync(ExitCode.Ok, "import", MakeDatabase("in.db", "one"));
        await RunAsync(ExitCode.Ok, "delete");
        await RunAsync(ExitCode.Unavailable, "info");
    }

    [Fact]
    public async Task A_connection_that_cannot_be_is_refused_with_what_to_do()
    {
        Assert.Equal(ExitCode.Usage, (await RunAsync(["info", _name, "--postgres", "Hist=localhost"])).Code);
        var (code, _, words) = await RunAsync(["info", _name, "--postgres", "Host=127.0.0.1;Port=1;Timeout=2"]);
        Assert.Equal(ExitCode.Unavailable, code);
        Assert.Contains("PostgreSQL cannot be reached", words, StringComparison.Ordinal);
    }

    private string MakeDatabase(string file, string text)
    {
        var path = Path.Combine(_folder, file);
        using var connection = new SqliteConnection($"Data Source={path};Pooling=false");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = $"CREATE TABLE note(text); INSERT INTO note VALUES ('{text}')";
        command.ExecuteNonQuery();
        return path;
    }

    private static string Read(string path)
    {
        using var connection = new SqliteConnection($"Data Source={path};Pooling=false");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT group_concat(text) FROM (SELECT text FROM note ORDER BY rowid)";
        return (string)command.ExecuteScalar()!;
    }

    private async Task<string> RunAsync(int expected, string command, params string[] more)
    {
        var (code, output, error) = await RunAsync([command, _name, .. more, "--postgres", cluster.ConnectionString]);
        Assert.True(code == expected, $"{command} ended with {code}: {output}{error}");
        return output + error;
    }

    private async Task<JsonElement> RunJsonAsync(string command) => JsonSerializer.Deserialize<JsonElement>(await RunAsync(ExitCode.Ok, command, "--json"));

    private static async Task<(int Code, string Output, string Error)> RunAsync(string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = await new Tool(MakeConsole(output), MakeConsole(error)).RunAsync(args);
        return (code, output.ToString(), error.ToString());
    }

    private static IAnsiConsole MakeConsole(TextWriter writer) => AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Out = new AnsiConsoleOutput(writer) });
}
