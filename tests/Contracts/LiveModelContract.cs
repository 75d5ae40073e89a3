using System.Globalization;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Contracts;

/// <summary>
/// Random schemas, queries and writes of three tabs: when all is quiet each live query shows what a fresh run gives; a commit names every table whose rows it
/// changed; and what reads other tables has not run.
/// </summary>
public abstract class LiveModelContract : TwoTabsContract
{
    private const int Steps = 30, Burst = 12;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public async Task Every_query_is_right_and_none_runs_in_vain(int seed)
    {
        var random = new Random(seed);
        await using var factory = await OpenFactoryAsync(new DataSyncOptions { Durability = random.Next(2) == 0 ? Durability.Deferred : Durability.Immediate });
        await using var third = await factory.OpenAsync(DatabaseName);
        var world = new World(random, [Leader, Follower, third], SeeAsync) { IsOnDemand = IsOnDemand };
        await world.BeginAsync();
        for (var step = 0; step < Steps; step++) await world.StepAsync(seed, step);
        await world.BurstAsync(seed, Burst);
    }

    /// <summary>A write, and the tables that it may change.</summary>
    private sealed record Write(string Sql, params string[] Tables);

    private sealed class World(Random random, DataSyncDatabase[] tabs, Func<DataSyncDatabase, long, Task> see)
    {
        private readonly List<(DataSyncDatabase Tab, LiveQuery<IReadOnlyList<object?>> Query, string Sql)> _queries = [];
        private readonly TellTale _tellTale = new(tabs[0]);
        private bool _hasTrigger, _hasCascade;
        private int _ids;

        /// <summary>Then a tab may read its image anew, since a checkpoint has passed its history: nobody knows what is other than it was, so everything runs.</summary>
        public bool IsOnDemand { get; init; }

        public async Task BeginAsync()
        {
            await tabs[0].ExecuteAsync("""
                CREATE TABLE a(id INTEGER PRIMARY KEY, v); CREATE TABLE b(id INTEGER PRIMARY KEY, a REFERENCES a ON DELETE CASCADE, v);
                CREATE TABLE w(k PRIMARY KEY, v) WITHOUT ROWID; CREATE TABLE log_a(v); CREATE TABLE free(v);
                CREATE VIRTUAL TABLE f USING fts5(text); CREATE VIEW ab AS SELECT a.v AS x, b.v AS y FROM a JOIN b ON b.a = a.id
                """);
            _hasCascade = random.Next(2) == 0;
            if (!_hasCascade) await tabs[0].ExecuteAsync("DROP VIEW ab; DROP TABLE b; CREATE TABLE b(id INTEGER PRIMARY KEY, a, v); CREATE VIEW ab AS SELECT a.v AS x, b.v AS y FROM a JOIN b ON b.a = a.id");
            _hasTrigger = random.Next(2) == 0;
            if (_hasTrigger) await tabs[0].ExecuteAsync("CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO log_a VALUES (new.v); UPDATE w SET v = v + 1; END");
            await QuietAsync();
            foreach (var tab in tabs)
            {
                foreach (var sql in Pick(6, Selects)) _queries.Add((tab, await tab.LiveAsync(sql), sql));
            }
        }

        /// <summary>One write, and a look at all.</summary>
        public async Task StepAsync(int seed, int step)
        {
            var before = await ContentsAsync(tabs[0]);
            var runs = _queries.ConvertAll(query => query.Query.Runs);
            _tellTale.Clear();
            var write = NextWrite();
            await RunAsync(tabs[random.Next(3)], write);
            await QuietAsync();
            var where = string.Create(CultureInfo.InvariantCulture, $"seed {seed}, step {step}: {write.Sql}");
            await CheckQueriesAsync(where);
            var after = await ContentsAsync(tabs[0]);
            string[] changed = [.. after.Keys.Where(table => before.GetValueOrDefault(table) != after[table])];
            var told = _tellTale.Told;
            foreach (var table in changed) Assert.True(told.Exists(tables => tables is null || tables.Contains(table)), $"{where}: nobody was told of {table}");
            foreach (var tables in told) Assert.True(tables is null || write.Tables is ["*"] || tables.All(table => table == "free" || write.Tables.Contains(table)), $"{where}: told of {string.Join(' ', tables ?? [])}");
            // After a change of the schema that was taken back, the next commit has another schema cookie.
            if (IsOnDemand || write.Tables is ["*"] || told.Contains(null)) return;
            for (var i = 0; i < _queries.Count; i++)
            {
                var (_, query, sql) = _queries[i];
                if (!query.Tables!.Overlaps(write.Tables)) Assert.True(runs[i] == query.Runs, $"{where}: '{sql}' ran in vain");
            }
        }

        /// <summary>Writes of all tabs at once.</summary>
        public async Task BurstAsync(int seed, int writes)
        {
            var work = tabs.SelectMany(tab => Enumerable.Range(0, writes).Select(_ => (Tab: tab, Write: NextWrite(mayChangeSchema: false)))).ToList();
            await Task.WhenAll(work.Select(one => RunAsync(one.Tab, one.Write)));
            await QuietAsync();
            await CheckQueriesAsync(string.Create(CultureInfo.InvariantCulture, $"seed {seed}, burst"));
        }

        private async Task CheckQueriesAsync(string where)
        {
            foreach (var (tab, query, sql) in _queries)
            {
                Assert.True(query.Error is null, $"{where}: {query.Error}");
                var fresh = (await tab.QueryAsync(sql)).Rows;
                Assert.True(Text(fresh) == Text(query.Current), $"{where}: '{sql}' shows {Text(query.Current)}, and a fresh run {Text(fresh)}");
            }
        }

        /// <summary>All that was written is durable, shown and told in every tab, and the queries have run.</summary>
        private async Task QuietAsync()
        {
            foreach (var tab in tabs) await tab.SyncAsync();
            var last = await tabs[0].ExecuteAsync("INSERT INTO free VALUES (1)");
            foreach (var tab in tabs)
            {
                await see(tab, last.Marker);
                await tab.Live.WhenIdleAsync();
            }

            await _tellTale.HearsAsync(last.Marker);
        }

        private static async Task RunAsync(DataSyncDatabase tab, Write write)
        {
            try
            {
                if (write.Sql.StartsWith("--work", StringComparison.Ordinal)) await tab.WriteAsync(connection => connection.Execute(write.Sql));
                else await tab.ExecuteAsync(write.Sql);
            }
            catch (SqliteException)
            {
                // A constraint, or a write that is meant to fail: it has left nothing.
            }
        }

        private Write NextWrite(bool mayChangeSchema = true)
        {
            string[] inserted = _hasTrigger ? ["a", "log_a", "w"] : ["a"];
            string[] deleted = _hasCascade ? ["a", "b"] : ["a"];
            var (id, some, value) = (++_ids, random.Next(1, Math.Max(2, _ids)), random.Next(5));
            return random.Next(mayChangeSchema ? 16 : 15) switch
            {
                0 or 1 => new($"INSERT INTO a VALUES ({id}, {value})", inserted),
                2 => new($"INSERT INTO a SELECT id + 1000000, v FROM a WHERE id = {some}", inserted),
                3 => new($"UPDATE a SET v = {value} WHERE id % 3 = {some % 3}", "a"),
                4 => new($"DELETE FROM a WHERE id = {some}", deleted),
                5 => new("DELETE FROM a", deleted),
                6 or 7 => new($"INSERT INTO b VALUES ({id}, (SELECT id FROM a LIMIT 1), {value})", "b"),
                8 => new($"--work\nINSERT INTO w VALUES ('{id}', {value}); INSERT INTO b VALUES ({id}, NULL, {value})", "b", "w"),
                9 => new($"UPDATE w SET v = {value}", "w"),
                10 => new($"INSERT INTO f VALUES ('word{value} and more')", "f"),
                11 => new($"DELETE FROM f WHERE rowid = {some}", "f"),
                12 => new($"INSERT INTO a VALUES ({id}, 1); INSERT INTO a VALUES ({id}, 2)", inserted), // fails
                13 => new($"--work\nSAVEPOINT s; INSERT INTO w VALUES ('{id}', 0); ROLLBACK TO s; RELEASE s; UPDATE b SET v = v", "b", "w"),
                14 => new("DELETE FROM w", "w"),
                _ => new($"ALTER TABLE {(random.Next(2) == 0 ? "b" : "w")} ADD COLUMN c{id} DEFAULT {value}", "*"),
            };
        }

        private static readonly string[] Selects =
        [
            "SELECT * FROM a ORDER BY id", "SELECT * FROM b ORDER BY id", "SELECT * FROM w ORDER BY k", "SELECT count(*), sum(v) FROM log_a", "SELECT x, y FROM ab ORDER BY x, y",
            "SELECT text FROM f WHERE f MATCH 'word1' ORDER BY rowid", "SELECT count(*) FROM f", "SELECT a.v, w.v FROM a LEFT JOIN w ON w.k = a.id ORDER BY a.id", "SELECT 7",
            "SELECT v, count(*) FROM (SELECT v FROM a UNION ALL SELECT v FROM b) GROUP BY v ORDER BY v", "SELECT EXISTS (SELECT * FROM w)",
        ];

        private IEnumerable<string> Pick(int count, string[] of)
        {
            var all = of.ToArray();
            random.Shuffle(all);
            return all.Take(count);
        }

        private static async Task<Dictionary<string, string>> ContentsAsync(DataSyncDatabase tab)
        {
            var contents = new Dictionary<string, string>();
            foreach (var table in new[] { "a", "b", "w", "log_a", "f" }) contents[table] = Text((await tab.QueryAsync($"SELECT * FROM {table} ORDER BY 1")).Rows);
            return contents;
        }

        private static string Text(IReadOnlyList<IReadOnlyList<object?>> rows) =>
            string.Join('\n', rows.Select(row => string.Join('|', row.Select(value => Convert.ToString(value, CultureInfo.InvariantCulture)))));
    }

    /// <summary>What the commits of one tab are said to have changed; null: it may be anything.</summary>
    private sealed class TellTale
    {
        private readonly List<IReadOnlyList<string>?> _told = [];
        private TaskCompletionSource _news = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private long _marker;

        public TellTale(DataSyncDatabase tab) => tab.Committed += (_, e) =>
        {
            lock (_told)
            {
                _told.Add(e.IsSchemaChanged ? null : e.Tables);
                _marker = e.Position.Marker;
                _news.TrySetResult();
            }
        };

        public List<IReadOnlyList<string>?> Told
        {
            get
            {
                lock (_told) return [.. _told];
            }
        }

        public void Clear()
        {
            lock (_told) _told.Clear();
        }

        public async Task HearsAsync(long marker)
        {
            while (true)
            {
                Task news;
                lock (_told)
                {
                    if (_marker >= marker) return;
                    if (_news.Task.IsCompleted) _news = new(TaskCreationOptions.RunContinuationsAsynchronously);
                    news = _news.Task;
                }

                await news;
            }
        }
    }
}
