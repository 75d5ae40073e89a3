using System.Globalization;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary>Random writes of three tabs: who starts with a table's rows and does what the change feed tells, each change on the row that it names, has the table's rows.</summary>
public abstract class RowChangesModelContract : TwoTabsContract
{
    private const int Steps = 20, Burst = 10;
    private static readonly string[] Tables = ["a", "w", "t", "free", "long", "pair", "found", "tick"];

    [Theory]
    [InlineData(1, 4096)]
    [InlineData(3, 512)]
    [InlineData(4, 16384)]
    public async Task The_feed_makes_of_the_old_rows_the_new_ones(int seed, int pageSize)
    {
        var random = new Random(seed);
        await using var factory = await OpenFactoryAsync(new DataSyncOptions { Durability = random.Next(2) == 0 ? Durability.Deferred : Durability.Immediate });
        await using var third = await factory.OpenAsync(DatabaseName);
        DataSyncDatabase[] tabs = [Leader, Follower, third];
        await Leader.ExecuteAsync(FormattableString.Invariant($"PRAGMA page_size = {pageSize}"));
        var created = await Leader.ExecuteAsync("""
            CREATE TABLE a(id INTEGER PRIMARY KEY, v, note); CREATE TABLE w(k PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE t(k TEXT PRIMARY KEY COLLATE NOCASE, v); CREATE TABLE free(v);
            CREATE TABLE long(id INTEGER PRIMARY KEY, body BLOB); CREATE TABLE pair(x, y, v, PRIMARY KEY (y, x)); CREATE VIRTUAL TABLE found USING fts5(text);
            CREATE TABLE tick(n INTEGER PRIMARY KEY); CREATE TABLE other(v); CREATE TRIGGER follows AFTER UPDATE ON a BEGIN INSERT INTO free VALUES (new.v); END;
            INSERT INTO a SELECT value, value % 7, hex(zeroblob(40)) FROM json_each((SELECT json_group_array(value) FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 500) SELECT value FROM n)))
            """);
        foreach (var tab in tabs) await SeeAsync(tab, created.Marker);
        var readers = new List<Mirror>();
        foreach (var tab in tabs) readers.Add(new Mirror(tab));
        var world = new World(random);
        for (var step = 1; step <= Steps; step++)
        {
            var where = string.Create(CultureInfo.InvariantCulture, $"seed {seed}, step {step}");
            var writes = step % 5 == 0
                ? tabs.SelectMany(tab => Enumerable.Range(0, Burst).Select(_ => (tab, world.Next()))).ToList()
                : [(tabs[random.Next(3)], world.Next(maySetSchema: true))];
            await Task.WhenAll(writes.Select(write => RunAsync(write.Item1, write.Item2)));
            foreach (var tab in tabs) await tab.SyncAsync();
            await tabs[random.Next(3)].ExecuteAsync("INSERT INTO tick VALUES (?)", new object[] { step });
            foreach (var reader in readers) await reader.CheckAsync(step, $"{where}: {(writes.Count == 1 ? writes[0].Item2 : "burst")}");
        }

        foreach (var reader in readers) await reader.DisposeAsync();
    }

    private static async Task RunAsync(DataSyncDatabase tab, string sql)
    {
        try
        {
            if (sql.StartsWith("--work", StringComparison.Ordinal)) await tab.WriteAsync(connection => connection.Execute(sql));
            else await tab.ExecuteAsync(sql);
        }
        catch (SqliteException)
        {
            // A constraint: it has left nothing.
        }
    }

    private sealed class World(Random random)
    {
        private int _ids = 1000;

        public string Next(bool maySetSchema = false)
        {
            var (id, some, value) = (++_ids, random.Next(1, 500), random.Next(5));
            return random.Next(maySetSchema ? 22 : 19) switch
            {
                0 => $"INSERT INTO a VALUES ({id}, {value}, 'n')",
                1 => $"UPDATE a SET v = {value} WHERE id = {some}",
                2 => $"UPDATE a SET note = hex(zeroblob({random.Next(600)})) WHERE id BETWEEN {some} AND {some + 20}",
                3 => $"DELETE FROM a WHERE id BETWEEN {some} AND {some + 10}",
                4 => $"UPDATE a SET id = -id WHERE id = {some}",
                5 => $"REPLACE INTO w VALUES ('{some % 50}', {value})",
                6 => $"DELETE FROM w WHERE v = {value}",
                7 => $"REPLACE INTO t VALUES ('{(char)('a' + value)}', {id})",
                8 => $"INSERT INTO t VALUES (NULL, {value})",
                9 => "UPDATE t SET k = upper(k)",
                10 => $"DELETE FROM free WHERE v = {value}",
                11 => $"INSERT INTO long VALUES ({id}, zeroblob({random.Next(40_000)}))",
                12 => $"UPDATE long SET body = CAST(substr(body, 1, length(body) - 1) || char({id % 100 + 1}) AS BLOB) WHERE id % 3 = {some % 3}",
                13 => $"DELETE FROM long WHERE id % 4 = {some % 4}",
                14 => $"REPLACE INTO pair VALUES ({value}, {some % 9}, {id})",
                15 => $"INSERT INTO found VALUES ('word{value} and {id}')",
                16 => $"UPDATE found SET text = text || 'x' WHERE rowid % 3 = {some % 3}",
                17 => $"--work\nSAVEPOINT s; UPDATE a SET v = 99; DELETE FROM w; ROLLBACK TO s; RELEASE s; INSERT INTO w VALUES ('w{id}', 0)",
                18 => $"INSERT INTO other VALUES (zeroblob({random.Next(100_000)}))",
                19 => $"ALTER TABLE {(random.Next(2) == 0 ? "pair" : "w")} ADD COLUMN c{id} DEFAULT {value}",
                20 => "VACUUM",
                _ => $"CREATE INDEX i{id} ON a(v, id)",
            };
        }
    }

    /// <summary>One tab's rows, by what its feed tells.</summary>
    private sealed class Mirror : IAsyncDisposable
    {
        private readonly DataSyncDatabase _tab;
        private readonly IAsyncEnumerator<IReadOnlyList<RowChange<IReadOnlyDictionary<string, object?>>>> _feed;
        private readonly Dictionary<string, List<Dictionary<string, object?>>> _rows = [];

        public Mirror(DataSyncDatabase tab)
        {
            _tab = tab;
            _feed = tab.RowChanges(Tables, includePresent: true).GetAsyncEnumerator();
            foreach (var table in Tables) _rows[table] = [];
        }

        public async Task CheckAsync(int tick, string where)
        {
            while (!_rows["tick"].Exists(row => Equals(row["n"], (long)tick)))
            {
                Assert.True(await _feed.MoveNextAsync());
                foreach (var change in _feed.Current) Do(change, where);
            }

            foreach (var table in Tables)
            {
                var (told, held) = (Sorted(_rows[table]), Sorted(await TableAsync(table)));
                for (var i = 0; i < Math.Max(told.Count, held.Count); i++)
                    Assert.True(told.ElementAtOrDefault(i) == held.ElementAtOrDefault(i), $"{where}: {table} has '{held.ElementAtOrDefault(i)}', and '{told.ElementAtOrDefault(i)}' was told");
            }
        }

        public ValueTask DisposeAsync() => _feed.DisposeAsync();

        private void Do(RowChange<IReadOnlyDictionary<string, object?>> change, string where)
        {
            var rows = _rows[change.Table];
            if (change.Old is { } old)
            {
                var at = rows.FindIndex(row => Text(row) == Text(old));
                Assert.True(at >= 0, $"{where}: {change.Table} is told to have had '{Text(old)}'");
                rows.RemoveAt(at);
            }

            Assert.NotEqual(Text(change.Old), Text(change.New));
            Assert.Equal(change.Kind, (change.Old, change.New) switch { (null, _) => RowChangeKind.Inserted, (_, null) => RowChangeKind.Deleted, _ => RowChangeKind.Updated });
            if (change.New is { } now) rows.Add(new(now));
        }

        private async Task<List<Dictionary<string, object?>>> TableAsync(string table)
        {
            var result = await _tab.QueryAsync($"SELECT * FROM {table}");
            return [.. result.Rows.Select(row => result.Columns.Zip(row).ToDictionary(pair => pair.First, pair => pair.Second))];
        }

        private static List<string> Sorted(List<Dictionary<string, object?>> rows) => [.. rows.Select(Text).Order(StringComparer.Ordinal)];

        // A column that was added without a default is told of no row.
        private static string Text(IReadOnlyDictionary<string, object?>? row) => row is null ? "" : string.Join('|', row.Select(value => $"{value.Key}={Text(value.Value)}"));

        private static string Text(object? value) => value switch
        {
            byte[] bytes => $"{bytes.Length} {Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(bytes))}",
            string text => $"'{text}'",
            _ => Convert.ToString(value, CultureInfo.InvariantCulture) ?? "",
        };
    }
}
