using System.Globalization;
using System.Runtime.InteropServices.JavaScript;
using System.Text.Json;
using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;

namespace DataSync.Lab;

/// <summary>
/// A connection of the app's own, step by step, for tests in which other tabs do things in between; offered to the page as
/// <c>lab.connection(step, …)</c>.
/// </summary>
internal static partial class ConnectionProbes
{
    private static DataSyncDatabase? database;
    private static SqliteConnection? connection;

    /// <summary>Opens a database and a connection to it; tells the role as soon as there is a leader.</summary>
    [JSExport]
    internal static async Task<string> Open(string name)
    {
        database = await (await LabPage.NewFactoryAsync()).OpenAsync(name);
        connection = new SqliteConnection(database.ConnectionString);
        connection.Open();
        await database.Coordinator.WaitForLeaderAsync();
        return database.Coordinator.Role.ToString();
    }

    /// <summary>Deletes a database that other tabs may have open.</summary>
    [JSExport]
    internal static async Task<string> Delete(string name)
    {
        await (await LabPage.NewFactoryAsync()).DeleteAsync(name);
        return "deleted";
    }

    /// <summary>Runs a statement synchronously; tells "ok", or the error's code, extended code and message.</summary>
    [JSExport]
    internal static string Run(string sql)
    {
        try
        {
            using var command = connection!.CreateCommand();
#pragma warning disable CA2100 // The tests' own text.
            command.CommandText = sql;
#pragma warning restore CA2100
            command.CommandTimeout = 30;
            return Convert.ToString(command.ExecuteScalar(), CultureInfo.InvariantCulture) is { Length: > 0 } value ? value : "ok";
        }
        catch (SqliteException error)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{error.SqliteErrorCode} {error.SqliteExtendedErrorCode} {error.Message}");
        }
    }

    /// <summary>Waits until all is durable; tells "durable" and the marker, or the error.</summary>
    [JSExport]
    internal static async Task<string> Sync()
    {
        try
        {
            await database!.ForceSyncAsync();
            return string.Create(CultureInfo.InvariantCulture, $"durable {database.Marker}");
        }
        catch (StorageException error)
        {
            return $"{error.GetType().Name} {error.Message}";
        }
    }

    /// <summary>Waits until the tab shows a marker.</summary>
    [JSExport]
    internal static async Task<string> WaitFor(string marker)
    {
        var wanted = long.Parse(marker, CultureInfo.InvariantCulture);
        var shown = new TaskCompletionSource();
        database!.Committed += (_, e) => Look(e.Position.Marker);
        Look(database.Marker);
        await shown.Task;
        return marker;

        void Look(long now)
        {
            if (now >= wanted) shown.TrySetResult();
        }
    }

    [JSExport]
    internal static async Task<string> RequestLeadership()
    {
        await database!.Coordinator.RequestLeadershipAsync();
        await database.Coordinator.WaitForLeadershipAsync();
        return database.Coordinator.Role.ToString();
    }

    /// <summary>Inserts rows in one transaction, scans and aggregates them; tells the milliseconds of each as JSON.</summary>
    [JSExport]
    internal static async Task<string> Measure(int rows)
    {
        var time = TimeProvider.System;
        await database!.ExecuteAsync("CREATE TABLE large(id INTEGER PRIMARY KEY, name TEXT, value REAL, grp INTEGER)");
        var start = time.GetTimestamp();
        await database.WriteAsync(writer =>
        {
            using var insert = writer.CreateCommand();
            insert.CommandText = "INSERT INTO large(name, value, grp) VALUES ($name, $value, $grp)";
            var (name, value, grp) = (insert.Parameters.Add("$name", SqliteType.Text), insert.Parameters.Add("$value", SqliteType.Real), insert.Parameters.Add("$grp", SqliteType.Integer));
            for (var i = 0; i < rows; i++)
            {
                (name.Value, value.Value, grp.Value) = ("name " + i, i * 0.5, i % 100);
                insert.ExecuteNonQuery();
            }
        });
        var inserted = Elapsed();
        var all = await database.QueryAsync<Row>("SELECT id, name, value, grp FROM large ORDER BY id");
        var mapped = Elapsed();
        var sum = 0.0;
        using (var scan = connection!.CreateCommand())
        {
            scan.CommandText = "SELECT id, name, value, grp FROM large";
            using var reader = scan.ExecuteReader();
            while (reader.Read()) sum += reader.GetInt64(0) + reader.GetString(1).Length + reader.GetDouble(2) + reader.GetInt64(3);
        }

        var scanned = Elapsed();
        var groups = await database.QueryAsync<Group>("SELECT grp, count(*) AS count, sum(value) AS total, max(name) AS greatest FROM large GROUP BY grp ORDER BY grp");
        var aggregated = Elapsed();
        return JsonSerializer.Serialize(
            new() { ["insert"] = inserted, ["map"] = mapped, ["scan"] = scanned, ["aggregate"] = aggregated, ["rows"] = all.Count, ["sum"] = sum, ["total"] = groups.Sum(g => g.Total), ["groups"] = groups.Count },
            LabJson.Default.DictionaryStringDouble);

        double Elapsed()
        {
            var elapsed = time.GetElapsedTime(start).TotalMilliseconds;
            start = time.GetTimestamp();
            return Math.Round(elapsed);
        }
    }

    private sealed record Row(long Id, string Name, double Value, int Grp);

    private sealed record Group(int Grp, int Count, double Total, string Greatest);
}
