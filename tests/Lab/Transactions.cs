using System.Globalization;
using System.Runtime.InteropServices.JavaScript;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;

namespace DataSync.Lab;

/// <summary>
/// Transactions of several statements in which a later one reads what an earlier one wrote. They grow a chain: each adds
/// the number after the largest one and counts in a second table, so that any two that did not see each other leave a trace.
/// </summary>
internal static partial class Transactions
{
    /// <summary>What the failing delegate throws; no exception of DataSync or SQLite says this.</summary>
    private const string Purpose = "on purpose";

    /// <summary>Set when the page's services are built.</summary>
    public static TaskCompletionSource<DataSyncFactory> Databases { get; } = new();

    /// <summary>Adds some numbers, each in a transaction of its own; the delegate is asynchronous or not.</summary>
    [JSExport]
    internal static async Task Append(string database, string writer, int count, bool isAsync)
    {
        var db = await OpenAsync(database);
        for (var i = 0; i < count; i++)
        {
            if (isAsync) await db.WriteAsync(connection => AddSlowlyAsync(connection, writer));
            else await db.WriteAsync(connection => AddNext(connection, writer));
        }
    }

    /// <summary>Adds a number, then throws inside the delegate. Returns what came out of the call.</summary>
    [JSExport]
    internal static async Task<string> Fail(string database, bool isAsync)
    {
        var db = await OpenAsync(database);
        try
        {
            if (isAsync)
            {
                await db.WriteAsync(async connection =>
                {
                    await AddSlowlyAsync(connection, "nobody");
                    throw new InvalidOperationException(Purpose);
                });
            }
            else
            {
                await db.WriteAsync(connection =>
                {
                    AddNext(connection, "nobody");
                    throw new InvalidOperationException(Purpose);
                });
            }
        }
        catch (InvalidOperationException error) when (error.Message == Purpose)
        {
            return Purpose;
        }

        return "nothing was thrown";
    }

    private static async Task<DataSyncDatabase> OpenAsync(string database) => await (await Databases.Task).OpenAsync(database);

    private static void AddNext(SqliteConnection connection, string writer)
    {
        AddOne(connection, writer, Scalar(connection, "SELECT coalesce(max(n), 0) FROM chain") + 1);
        CountOne(connection);
    }

    // Lets the tab do other things, and so other tabs' messages come in, between the statements of the transaction.
    private static async Task AddSlowlyAsync(SqliteConnection connection, string writer)
    {
        var last = Scalar(connection, "SELECT coalesce(max(n), 0) FROM chain");
        await Task.Yield();
        AddOne(connection, writer, last + 1);
        await Task.Yield();
        CountOne(connection);
    }

    private static void AddOne(SqliteConnection connection, string writer, long n)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "INSERT INTO chain(n, writer) VALUES ($n, $writer)";
        command.Parameters.AddWithValue("$n", n);
        command.Parameters.AddWithValue("$writer", writer);
        command.ExecuteNonQuery();
    }

    private static void CountOne(SqliteConnection connection)
    {
        using var command = connection.CreateCommand();
        command.CommandText = "UPDATE chain_length SET n = (SELECT count(*) FROM chain) WHERE n = (SELECT max(n) - 1 FROM chain)";
        if (command.ExecuteNonQuery() != 1) throw new InvalidDataException("The transaction does not see what it wrote before.");
    }

    private static long Scalar(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return Convert.ToInt64(command.ExecuteScalar(), CultureInfo.InvariantCulture);
    }
}
