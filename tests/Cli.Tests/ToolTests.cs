using System.Text.Json;
using DataSync.Storage;
using Microsoft.Data.Sqlite;
using Spectre.Console;
using Xunit;

namespace DataSync.Cli.Tests;

/// <summary>The tool on real directories: what it writes, what it changes, and what it ends with.</summary>
public sealed class ToolTests : IDisposable
{
    private readonly string _base = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), "datasync-cli-" + Guid.NewGuid().ToString("N"))).FullName;

    static ToolTests() => SQLitePCL.Batteries_V2.Init();

    private string Store => Path.Combine(_base, "my store");

    [Fact]
    public async Task A_database_goes_in_and_comes_out()
    {
        var source = MakeDatabase("source.db", 500);
        var (code, output, _) = await RunAsync("import", Store, source);
        Assert.Equal((ExitCode.Ok, true), (code, output.StartsWith("Imported:", StringComparison.Ordinal)));
        var exported = Path.Combine(_base, "exported.db");
        Assert.Equal(ExitCode.Ok, (await RunAsync("export", Store, exported)).Code);
        Assert.Equal((500L, "ok"), Query(exported));
        Assert.False(File.Exists(exported + ".tmp"));
    }

    [Fact]
    public async Task A_file_whose_wal_was_not_checkpointed_is_refused()
    {
        var source = MakeDatabase("source.db", 5);
        using (var connection = new SqliteConnection($"Data Source={source};Pooling=false"))
        {
            connection.Open();
            using var command = connection.CreateCommand();
            command.CommandText = "INSERT INTO note(text) VALUES ('in the wal')";
            command.ExecuteNonQuery();
            var (refused, _, words) = await RunAsync("import", Store, source);
            Assert.Equal((ExitCode.Failed, true), (refused, words.Contains("source.db-wal", StringComparison.Ordinal)));
        }

        Assert.Equal(ExitCode.Ok, (await RunAsync("import", Store, source)).Code);
    }

    [Fact]
    public async Task A_smaller_database_replaces_a_greater_one()
    {
        await RunAsync("import", Store, MakeDatabase("great.db", 5000));
        await RunAsync("import", Store, MakeDatabase("small.db", 3));
        var exported = Path.Combine(_base, "exported.db");
        await RunAsync("export", Store, exported);
        Assert.Equal((3L, "ok"), Query(exported));
        Assert.Equal(new FileInfo(Path.Combine(_base, "small.db")).Length, new FileInfo(exported).Length);
        var log = await RunJsonAsync("log", Store);
        Assert.Equal([1, 2], log.GetProperty("commits").EnumerateArray().Select(commit => commit.GetProperty("marker").GetInt32()));
        Assert.NotEmpty(log.GetProperty("commits")[1].GetProperty("freed").EnumerateArray());
        Assert.Single((await RunJsonAsync("log", Store, "--limit", "1")).GetProperty("commits").EnumerateArray());
    }

    [Fact]
    public async Task Info_says_what_the_store_holds()
    {
        var source = MakeDatabase("source.db", 100);
        await RunAsync("import", Store, source);
        var info = await RunJsonAsync("info", Store);
        Assert.Equal(Store, info.GetProperty("store").GetString());
        Assert.Equal((1, 1, 1), (info.GetProperty("marker").GetInt32(), info.GetProperty("epoch").GetInt32(), info.GetProperty("logRecords").GetInt32()));
        Assert.Equal(new FileInfo(source).Length, info.GetProperty("sizeBytes").GetInt64());
        var (_, text, _) = await RunAsync("info", Store);
        Assert.Contains("sound", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_damaged_store_is_found_and_repaired()
    {
        await RunAsync("import", Store, MakeDatabase("source.db", 100));
        await RunAsync("import", Store, MakeDatabase("other.db", 200));
        Assert.Equal(ExitCode.Ok, (await RunAsync("verify", Store)).Code);
        var path = Path.Combine(Store, "log", "2.commit");
        var bytes = await File.ReadAllBytesAsync(path);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(path, bytes);

        var (code, output, _) = await RunAsync("verify", Store);
        Assert.Equal(ExitCode.Damaged, code);
        Assert.Contains("log 2:", output, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Damaged, (await RunAsync("info", Store)).Code);
        Assert.Equal(ExitCode.Damaged, (await RunAsync("log", Store)).Code);
        var exported = Path.Combine(_base, "exported.db");
        Assert.Equal(ExitCode.Damaged, (await RunAsync("export", Store, exported)).Code);
        Assert.False(File.Exists(exported));
        Assert.Equal(ExitCode.Damaged, (await RunAsync("export", Store, exported, "--damaged")).Code);
        Assert.Equal((100L, "ok"), Query(exported));

        var repaired = await RunJsonAsync("repair", Store);
        Assert.True(repaired.GetProperty("isRepaired").GetBoolean());
        Assert.Equal("log 2", repaired.GetProperty("findings")[0].GetProperty("where").GetString());
        Assert.Equal(bytes, await File.ReadAllBytesAsync(Path.Combine(Store, "quarantine", "2.commit")));
        var kept = Assert.Single((await RunJsonAsync("info", Store)).GetProperty("quarantine").EnumerateArray());
        Assert.Equal(("2.commit", bytes.Length), (kept.GetProperty("name").GetString(), kept.GetProperty("bytes").GetInt32()));
        Assert.Contains("2.commit", (await RunAsync("info", Store)).Output, StringComparison.Ordinal);
        var verified = await RunJsonAsync("verify", Store, "--sample");
        Assert.True(verified.GetProperty("isSound").GetBoolean());
        var again = await RunJsonAsync("repair", Store);
        Assert.False(again.GetProperty("isRepaired").GetBoolean());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_damaged_or_missing_head_is_repaired_with_nothing_lost(bool isMissing)
    {
        await RunAsync("import", Store, MakeDatabase("source.db", 100));
        var path = Path.Combine(Store, "head.json");
        var bytes = await File.ReadAllBytesAsync(path);
        bytes[20] ^= 1;
        if (isMissing) File.Delete(path);
        else await File.WriteAllBytesAsync(path, bytes);

        Assert.Equal(ExitCode.Damaged, (await RunAsync("verify", Store)).Code);
        var repaired = await RunJsonAsync("repair", Store);
        Assert.True(repaired.GetProperty("isRepaired").GetBoolean());
        Assert.Equal("head", repaired.GetProperty("findings")[0].GetProperty("where").GetString());
        if (!isMissing) Assert.Equal(bytes, await File.ReadAllBytesAsync(Path.Combine(Store, "quarantine", "head.json")));
        Assert.Equal(ExitCode.Ok, (await RunAsync("verify", Store)).Code);
        var exported = Path.Combine(_base, "exported.db");
        Assert.Equal(ExitCode.Ok, (await RunAsync("export", Store, exported)).Code);
        Assert.Equal((100L, "ok"), Query(exported));
    }

    [Fact]
    public async Task A_store_that_cannot_be_opened_is_deleted()
    {
        await RunAsync("import", Store, MakeDatabase("source.db", 100));
        foreach (var name in new[] { "head.json", "head.copy.json" }) await File.WriteAllTextAsync(Path.Combine(Store, name), "{}");
        Assert.Equal(ExitCode.Damaged, (await RunAsync("repair", Store)).Code);
        Assert.Equal(Store, (await RunJsonAsync("delete", Store)).GetProperty("store").GetString());
        Assert.Equal(ExitCode.Unavailable, (await RunAsync("info", Store)).Code);
        Assert.Equal(ExitCode.Unavailable, (await RunAsync("delete", Store)).Code);
        Assert.Equal(ExitCode.Ok, (await RunAsync("import", Store, MakeDatabase("other.db", 5))).Code);
    }

    [Fact]
    public async Task What_is_not_there_or_in_use_is_said_and_nothing_is_made()
    {
        Assert.Equal(ExitCode.Unavailable, (await RunAsync("info", Store)).Code);
        Assert.False(Directory.Exists(Store));
        var source = MakeDatabase("source.db", 1);
        await RunAsync("import", Store, source);

        // Another path to the same directory is to the system what another process is.
        await using var holder = FileBlockStore.InDirectory(Store);
        await holder.OpenAsync(default);
        var link = Path.Combine(_base, "link");
        Directory.CreateSymbolicLink(link, Store);
        var (code, _, error) = await RunAsync("verify", link);
        Assert.Equal(ExitCode.Unavailable, code);
        Assert.Contains($"process {Environment.ProcessId}", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Wrong_commands_and_files_are_refused()
    {
        Assert.Equal(ExitCode.Usage, (await RunAsync("explode", Store)).Code);
        Assert.Equal(ExitCode.Usage, (await RunAsync("info")).Code);
        var text = Path.Combine(_base, "text.db");
        await File.WriteAllTextAsync(text, new string('x', 5000));
        var source = MakeDatabase("source.db", 10);
        await RunAsync("import", Store, source);
        Assert.Equal(ExitCode.Failed, (await RunAsync("import", Store, text)).Code);
        var damaged = await File.ReadAllBytesAsync(source);
        damaged.AsSpan(4096, 2048).Fill(0xA5);
        await File.WriteAllBytesAsync(text, damaged);
        var (refused, _, words) = await RunAsync("import", Store, text);
        Assert.Equal((ExitCode.Failed, true), (refused, words.Contains("the file is damaged", StringComparison.Ordinal)));
        Assert.Equal(ExitCode.Failed, (await RunAsync("import", Store, Path.Combine(_base, "missing.db"))).Code);
        Assert.Equal(ExitCode.Failed, (await RunAsync("export", Store, source)).Code);
        Assert.Equal(ExitCode.Ok, (await RunAsync("export", Store, source, "--force")).Code);
        Assert.Equal((10L, "ok"), Query(source));
        var (code, help, _) = await RunAsync("--help");
        Assert.Equal(ExitCode.Ok, code);
        foreach (var command in new[] { "info", "verify", "repair", "export", "import", "log", "delete" }) Assert.Contains(command, help, StringComparison.Ordinal);
    }

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        Directory.Delete(_base, recursive: true);
    }

    private static async Task<(int Code, string Output, string Error)> RunAsync(params string[] args)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var code = await new Tool(MakeConsole(output), MakeConsole(error)).RunAsync(args);
        return (code, output.ToString(), error.ToString());
    }

    private static async Task<JsonElement> RunJsonAsync(params string[] args)
    {
        var (_, output, error) = await RunAsync([.. args, "--json"]);
        Assert.Equal("", error);
        return JsonDocument.Parse(output).RootElement;
    }

    private static IAnsiConsole MakeConsole(TextWriter writer)
    {
        var console = AnsiConsole.Create(new AnsiConsoleSettings { Ansi = AnsiSupport.No, Interactive = InteractionSupport.No, Out = new AnsiConsoleOutput(writer) });
        console.Profile.Width = 200;
        return console;
    }

    private string MakeDatabase(string name, int rows)
    {
        var path = Path.Combine(_base, name);
        using var connection = new SqliteConnection($"Data Source={path};Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = $"""
            PRAGMA journal_mode=WAL; CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT);
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) INSERT INTO note SELECT i, hex(randomblob(100)) FROM n;
            PRAGMA wal_checkpoint(TRUNCATE);
            """;
        command.ExecuteNonQuery();
        return path;
    }

    private static (long Rows, string Check) Query(string path)
    {
        using var connection = new SqliteConnection($"Data Source={path};Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT count(*) FROM note";
        var rows = (long)command.ExecuteScalar()!;
        command.CommandText = "PRAGMA integrity_check";
        return (rows, (string)command.ExecuteScalar()!);
    }
}
