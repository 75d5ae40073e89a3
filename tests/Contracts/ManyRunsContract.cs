using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary><see cref="DataSyncDatabase.ExecuteManyAsync"/> does what one statement after the other does.</summary>
public abstract class ManyRunsContract : IAsyncLifetime
{
    private const string Insert = "INSERT INTO many(a, b, c, d) VALUES (?, ?, ?, ?)";

    private DataSyncDatabase _database = null!;

    protected abstract Task<DataSyncDatabase> OpenAsync();

    protected abstract Task CloseAsync();

    public async Task InitializeAsync()
    {
        _database = await OpenAsync();
        foreach (var table in (string[])["many", "single"])
            await _database.ExecuteAsync($"CREATE TABLE {table}(id INTEGER PRIMARY KEY, a, b UNIQUE, c, d)");
    }

    public Task DisposeAsync() => CloseAsync();

    [Fact]
    public async Task Values_of_every_kind_and_size_arrive_in_order()
    {
        object?[] kinds =
        [
            null, DBNull.Value, 0, 1, -1, int.MinValue, int.MaxValue, int.MaxValue + 1L, long.MinValue, long.MaxValue, 1L << 53, true, false,
            0.0, -1.5, double.MaxValue, double.Epsilon, double.PositiveInfinity, 1e15, "", "a", "ä€😀", "zero\0inside", "\ud800", new string('x', 3000), new string('ü', 30_000),
            Array.Empty<byte>(), new byte[] { 0 }, Bytes(3000), Bytes(60_000), Bytes(200_000),
            1.5m, new DateTime(2026, 11, 22, 1, 2, 3, DateTimeKind.Utc), Guid.Parse("0f8fad5b-d9cb-469f-a165-70867728950e"), 'c', 5f, (short)7,
        ];
        var sets = Enumerable.Range(0, 3 * kinds.Length).Select(i => new[] { i, i, kinds[i % kinds.Length], kinds[i * 7 % kinds.Length] }).ToArray();
        var result = await _database.ExecuteManyAsync(Insert, sets);
        Assert.Equal((sets.Length, sets.Length), (result.Changes, (int)result.LastInsertRowId));
        foreach (var set in sets.Take(kinds.Length)) await _database.ExecuteAsync(Insert.Replace("many", "single", StringComparison.Ordinal), set);
        for (var from = kinds.Length; from < sets.Length; from += kinds.Length)
        {
            await _database.ExecuteAsync($"INSERT INTO single(a, b, c) SELECT a + {from}, b + {from}, c FROM single WHERE a < {kinds.Length} ORDER BY id");
            foreach (var set in sets.Skip(from).Take(kinds.Length)) await _database.ExecuteAsync("UPDATE single SET d = ? WHERE b = ?", new[] { set[3], set[1] });
        }

        Assert.Equal((long)sets.Length, await OneAsync<long>("SELECT count(*) FROM single"));
        Assert.Equal(0L, await OneAsync<long>(
            "SELECT count(*) FROM many JOIN single USING (id) WHERE (many.a, many.b, quote(many.c), quote(many.d), typeof(many.c), typeof(many.d)) "
            + "IS NOT (single.a, single.b, quote(single.c), quote(single.d), typeof(single.c), typeof(single.d))"));
        Assert.Equal(Enumerable.Range(1, sets.Length).Select(i => (long)i), await _database.QueryAsync<long>("SELECT id FROM many ORDER BY b"));
    }

    [Fact]
    public async Task Thousands_of_rows_are_one_commit()
    {
        var marker = _database.Marker;
        var sets = Enumerable.Range(0, 5000).Select(i => (object?)new { d = i * 0.5, a = "name " + i, c = (byte[])[1, 2, (byte)i], b = i, other = "ignored" }).ToArray();
        var result = await _database.ExecuteManyAsync("INSERT INTO many(a, b, c, d) VALUES ($a, $b, $c, $d)", sets);
        Assert.Equal(new ExecuteResult(5000, 5000, marker + 1), result);
        Assert.Equal(("name 4999", 5000L, 6_248_750.0), (await OneAsync<string>("SELECT a FROM many WHERE b = 4999"), await OneAsync<long>("SELECT count(*) FROM many WHERE length(c) = 3"), await OneAsync<double>("SELECT sum(d) FROM many")));
        Assert.Equal(2500, (await _database.ExecuteManyAsync("UPDATE many SET d = 0 WHERE b = $b AND b % 2 = 1 RETURNING a", sets)).Changes);
        Assert.Equal(0, (await _database.ExecuteManyAsync(Insert, [])).Changes);
    }

    [Fact]
    public async Task Dictionaries_objects_and_lists_can_be_mixed()
    {
        object?[] sets =
        [
            new { a = 1, b = 2, c = 3, d = 4 }, new Dictionary<string, object?> { ["a"] = 5, ["b"] = 6, ["c"] = null, ["d"] = 8 },
            new List<object?> { 9, 10, 11, 12 }, new object?[] { 13, 14, 15, 16, "one too many" }, new { a = 1m, b = 18, c = 19, d = 20 },
        ];
        await _database.ExecuteManyAsync("INSERT INTO many(a, b, c, d) VALUES ($a, $b, $c, $d)", sets);
        Assert.Equal([2, 6, 10, 14, 18], await _database.QueryAsync<int>("SELECT b FROM many ORDER BY id"));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(150)]
    [InlineData(3999)]
    public async Task A_run_that_fails_undoes_all(int failing)
    {
        await _database.ExecuteAsync(Insert, new object?[] { "there", "taken", null, null }); // the same statement, by itself
        var sets = Enumerable.Range(0, 4000).Select(i => new object?[] { "text " + i, i == failing ? "taken" : i, null, null }).ToArray();
        var error = await Assert.ThrowsAsync<SqliteException>(() => _database.ExecuteManyAsync(Insert, sets));
        Assert.Equal((19, 2067), (error.SqliteErrorCode, error.SqliteExtendedErrorCode));
        Assert.Contains("many.b", error.Message, StringComparison.Ordinal);
        Assert.Equal(1L, await OneAsync<long>("SELECT count(*) FROM many"));
        await _database.ExecuteAsync(Insert, new object?[] { "between", "untaken", null, null });
        sets[failing][1] = "free";
        Assert.Equal(4000, (await _database.ExecuteManyAsync(Insert, sets)).Changes);
        Assert.Equal("ok", await OneAsync<string>("PRAGMA integrity_check"));
    }

    [Fact]
    public async Task A_set_that_cannot_be_bound_undoes_all()
    {
        object?[] sets = [new object?[] { 1, 2, 3, 4 }, new object?[] { 5, 6, 7 }];
        Assert.Contains("3 values", (await Assert.ThrowsAsync<InvalidOperationException>(() => _database.ExecuteManyAsync(Insert, sets))).Message, StringComparison.Ordinal);
        sets = [new { a = 1, b = 2, c = 3, d = 4 }, new { a = 1, b = 3 }];
        await Assert.ThrowsAsync<InvalidOperationException>(() => _database.ExecuteManyAsync("INSERT INTO many(a, b, c, d) VALUES ($a, $b, $c, $d)", sets));
        sets = [new object?[] { 1, 2, 3, 4 }, new object?[] { 5, 6, 7, double.NaN }];
        await Assert.ThrowsAsync<InvalidOperationException>(() => _database.ExecuteManyAsync(Insert, sets));
        await Assert.ThrowsAsync<ArgumentException>(() => _database.ExecuteManyAsync($"{Insert}; {Insert}", sets));
        Assert.Equal(0L, await OneAsync<long>("SELECT count(*) FROM many"));
    }

    [Fact]
    public async Task Values_of_one_run_are_not_those_of_the_next_statement()
    {
        await _database.ExecuteManyAsync(Insert, [new object?[] { "left", 1, new string('y', 40_000), "over" }]);
        await Assert.ThrowsAsync<InvalidOperationException>(() => _database.ExecuteAsync(Insert, new object?[] { 1 }));
        await _database.ExecuteAsync(Insert, new object?[] { "new", 2, null, null });
        Assert.Equal(["left:40000:over", "new:-:-"], await _database.QueryAsync<string>("SELECT a || ':' || ifnull(length(c), '-') || ':' || ifnull(d, '-') FROM many ORDER BY id"));
    }

    private static byte[] Bytes(int length) => [.. Enumerable.Range(0, length).Select(i => (byte)(i * 31))];

    private async Task<T> OneAsync<T>(string sql) => Assert.Single(await _database.QueryAsync<T>(sql));
}
