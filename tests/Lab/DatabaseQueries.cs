using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Lab;

/// <summary>Reading with <see cref="DataSyncDatabase"/>: rows as objects, parameters of every kind.</summary>
public sealed class DatabaseQueries : DatabaseSuite
{
    public enum Mood
    {
        Sad,
        Happy,
    }

    public override async Task InitializeAsync()
    {
        await base.InitializeAsync();
        await Database.ExecuteAsync("""
            CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL, created_at TEXT, weight REAL, mood INTEGER, data BLOB);
            INSERT INTO note VALUES (1, 'erste – ä€😀', '2026-11-22 01:02:03.5+01:00', 1.5, 1, x'0102'), (2, 'second', NULL, NULL, 0, NULL);
            """);
    }

    [Fact]
    public async Task Rows_become_records_classes_scalars_and_plain_values()
    {
        var records = await Database.QueryAsync<Note>("SELECT * FROM note ORDER BY id");
        Assert.Equal(new Note(1, "erste – ä€😀", new DateTimeOffset(2026, 11, 22, 1, 2, 3, 500, TimeSpan.FromHours(1)), 1.5, Mood.Happy), records[0]);
        Assert.Equal(new Note(2, "second", null, null, Mood.Sad), records[1]);
        var items = await Database.QueryAsync<Item>("SELECT id, text, data FROM note ORDER BY id");
        Assert.Equal([1, 2], items.Select(i => i.Id));
        Assert.Equal<byte>([1, 2], items[0].Data!);
        Assert.Null(items[1].Data);
        Assert.Equal(["second", "erste – ä€😀"], await Database.QueryAsync<string>("SELECT text FROM note ORDER BY id DESC"));
        Assert.Equal([1.5, null], await Database.QueryAsync<double?>("SELECT weight FROM note ORDER BY id"));
        Assert.Equal([Mood.Happy, Mood.Sad], await Database.QueryAsync<Mood>("SELECT mood FROM note ORDER BY id"));
        Assert.Empty(await Database.QueryAsync<Note>("SELECT * FROM note WHERE id > 2"));
        var plain = await Database.QueryAsync("SELECT id, weight, data, text FROM note ORDER BY id");
        Assert.Equal(["id", "weight", "data", "text"], plain.Columns);
        Assert.Equal([2L, null, null, "second"], plain.Rows[1]);
    }

    [Fact]
    public async Task Parameters_are_objects_dictionaries_lists_or_ready_made()
    {
        var now = new DateTime(2026, 11, 22, 10, 11, 12);
        await Database.ExecuteAsync("INSERT INTO note(id, text, created_at, weight) VALUES ($id, @text, :at, $weight)", new { id = 3, text = "o", at = now, weight = (double?)null });
        await Database.ExecuteAsync("INSERT INTO note(id, text) VALUES ($id, $text)", new Dictionary<string, object?> { ["$id"] = 4, ["text"] = "d" });
        await Database.ExecuteAsync("INSERT INTO note(id, text, data) VALUES (?, '?', ?)", new object?[] { 5, new byte[] { 9 } });
        await Database.ExecuteAsync("INSERT INTO note(id, text) VALUES (@id, 'p')", new[] { new SqliteParameter("@id", 6) });
        Assert.Equal(["o", "d", "?", "p"], await Database.QueryAsync<string>("SELECT text FROM note WHERE id > ? ORDER BY id", new[] { 2 }));
        Assert.Equal([now], await Database.QueryAsync<DateTime>("SELECT created_at FROM note WHERE id = $id", new { id = 3 }));
        Assert.Equal([5L], await Database.QueryAsync<long>("SELECT id FROM note WHERE data = $data", new { data = new byte[] { 9 } }));
    }

    [Fact]
    public async Task The_same_text_runs_again_with_other_parameters_and_after_a_change_of_the_schema()
    {
        const string Sql = "SELECT * FROM note WHERE id = $id";
        Assert.Equal("erste – ä€😀", (await Database.QueryAsync<Item>(Sql, new { id = 1 }))[0].Text);
        Assert.Equal("second", (await Database.QueryAsync<Item>(Sql, new { id = 2 }))[0].Text);
        await Database.ExecuteAsync("ALTER TABLE note RENAME COLUMN text TO body; ALTER TABLE note ADD COLUMN text DEFAULT 'new'");
        Assert.Equal("new", (await Database.QueryAsync<Item>(Sql, new { id = 2 }))[0].Text);
    }

    [Fact]
    public async Task Returning_gives_rows_of_a_write_that_is_durable()
    {
        var before = Database.Marker;
        var ids = await Database.QueryAsync<long>("INSERT INTO note(text) VALUES ('a'), ('b') RETURNING id");
        Assert.Equal([3L, 4L], ids);
        Assert.Equal(before + 1, Database.Marker);
        var items = await Database.QueryAsync<Item>("UPDATE note SET text = text || $t WHERE id > 2 RETURNING *", new { t = "!" });
        Assert.Equal(["a!", "b!"], items.Select(i => i.Text));
        Assert.Equal(4, await CountAsync("note"));
        Assert.Equal(["b!"], await Database.QueryAsync<string>("INSERT INTO note(text) VALUES ('c'); SELECT text FROM note WHERE id = 4"));
        Assert.Equal(5, await CountAsync("note"));
    }

    [Fact]
    public async Task Errors_of_a_query_are_typed_and_leave_it_usable()
    {
        var error = await Assert.ThrowsAsync<SqliteException>(() => Database.QueryAsync<Note>("SELECT * FROM missing"));
        Assert.Equal(1, error.SqliteErrorCode);
        Assert.Contains("no such table: missing", error.Message, StringComparison.Ordinal);
        Assert.Contains("weight", (await Assert.ThrowsAsync<InvalidCastException>(() => Database.QueryAsync<double>("SELECT weight FROM note ORDER BY id"))).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<InvalidOperationException>(() => Database.QueryAsync<long>("SELECT id FROM note WHERE id = $id"));
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Database.QueryAsync<long>("SELECT id FROM note", null, cancelled.Token));
        await Assert.ThrowsAsync<SqliteException>(() => Database.QueryAsync<long>("INSERT INTO note(id, text) VALUES (1, 'taken') RETURNING id"));
        Assert.Equal(2, await CountAsync("note"));
    }

    public sealed record Note(long Id, string Text, DateTimeOffset? CreatedAt, double? Weight, Mood Mood);

    public sealed class Item
    {
        public int Id { get; set; }

        public string Text { get; set; } = "";

        public byte[]? Data { get; set; }
    }
}
