using System.Diagnostics;
using DataSync.Bench.Client;
using Microsoft.Data.Sqlite;

namespace DataSync.Bench;

/// <summary>The part outside the browser: the same SQLite and the same Microsoft.Data.Sqlite on DataSync's files and on SQLite's own.</summary>
internal sealed class NativeBench(BenchOptions options, Measurements results, Action<string> tell)
{
    public const string Id = "native";
    public const string DataSync = "native-datasync";
    public const string Journal = "native-journal";
    public const string Wal = "native-wal";

    public static IReadOnlyList<Library> Stores { get; } =
    [
        new(DataSync, "DataSync, FileBlockStore", "files flushed and renamed", []),
        new(Journal, "SQLite, rollback journal", "journal_mode=DELETE, synchronous=FULL", []),
        new(Wal, "SQLite, WAL", "journal_mode=WAL, synchronous=FULL", []),
    ];

    public async Task RunAsync()
    {
        for (var round = 1; round <= options.Rounds; round++)
        {
            foreach (var store in Stores) await RunAsync(store.Id);
            tell($"round {round} of {options.Rounds}: native");
        }
    }

    private static Task<NativeStore> OpenAsync(string id, string folder) => id == DataSync
        ? FilesStore.OpenAsync(folder)
        : Task.FromResult<NativeStore>(new PlainStore(folder, id == Wal ? "WAL" : "DELETE"));

    private async Task RunAsync(string id)
    {
        // Beside the browsers' profiles: the same disk.
        var folder = Directory.CreateTempSubdirectory("datasync-bench-").FullName;
        try
        {
            await MeasureAsync(id, Directory.CreateDirectory(Path.Combine(folder, "small")).FullName);
            await MeasureOpenAsync(id, Directory.CreateDirectory(Path.Combine(folder, "large")).FullName);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private async Task MeasureAsync(string id, string folder)
    {
        await using var store = await OpenAsync(id, folder);
        var inserts = Row.Make(1, options.Warm + options.Inserts);
        for (var i = 0; i < inserts.Length; i++)
        {
            var start = Stopwatch.GetTimestamp();
            await store.InsertOneAsync(inserts[i]);
            if (i >= options.Warm) results.Add(id, "native.commit", Elapsed(start));
        }

        var rows = Row.Make(1, options.Rows);
        for (var i = -1; i < options.Samples; i++)
        {
            await store.WriteAsync(Clear);
            var start = Stopwatch.GetTimestamp();
            await store.WriteAsync(connection => Insert(connection, rows));
            if (i >= 0) results.Add(id, "native.transaction", Elapsed(start));
        }

        Sample(id, "native.points", () => Points(store.Connection, Row.Keys(options.Rows, 1000)));
        await store.WriteAsync(Clear);
        for (var first = 1; first <= options.ManyRows; first += options.Rows)
        {
            var more = Row.Make(first, options.Rows);
            await store.WriteAsync(connection => Insert(connection, more));
        }

        Sample(id, "native.scan", () => Scan(store.Connection));
    }

    private async Task MeasureOpenAsync(string id, string folder)
    {
        const int Chunk = 20_000;
        await using (var store = await OpenAsync(id, folder))
        {
            for (var first = 1; first <= options.LargeRows; first += Chunk)
            {
                var more = Row.Make(first, Math.Min(Chunk, options.LargeRows - first + 1));
                await store.WriteAsync(connection => Insert(connection, more));
            }
        }

        for (var i = -1; i < options.Opens; i++)
        {
            var start = Stopwatch.GetTimestamp();
            await using var store = await OpenAsync(id, folder);
            Points(store.Connection, [options.LargeRows]);
            if (i >= 0) results.Add(id, "native.open", Elapsed(start));
        }
    }

    private void Sample(string id, string metric, Action work)
    {
        for (var i = -1; i < options.Samples; i++)
        {
            var start = Stopwatch.GetTimestamp();
            work();
            if (i >= 0) results.Add(id, metric, Elapsed(start));
        }
    }

    private static double Elapsed(long start) => Stopwatch.GetElapsedTime(start).TotalMilliseconds;

    private static void Clear(SqliteConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "DELETE FROM t";
        command.ExecuteNonQuery();
    }

    private static void Insert(SqliteConnection connection, Row[] rows)
    {
        using var insert = InsertCommand.Create(connection);
        foreach (var row in rows) InsertCommand.Run(insert, row);
    }

    private static void Points(SqliteConnection connection, long[] ids)
    {
        using var command = connection.CreateCommand();
        command.CommandText = Row.SelectOne;
        var parameter = command.Parameters.Add("$id", SqliteType.Integer);
        command.Prepare();
        foreach (var id in ids)
        {
            parameter.Value = id;
            using var reader = command.ExecuteReader();
            if (!reader.Read() || Read(reader).Id != id) throw new InvalidOperationException("wrong answer: points");
        }
    }

    private void Scan(SqliteConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = Row.SelectAll;
        using var reader = command.ExecuteReader();
        var found = new List<Row>();
        while (reader.Read()) found.Add(Read(reader));
        if (found.Count != options.ManyRows) throw new InvalidOperationException("wrong answer: scan");
    }

    private static Row Read(SqliteDataReader reader) => new(reader.GetInt64(0), reader.GetString(1), reader.GetDouble(2), reader.GetFieldValue<byte[]>(3));
}
