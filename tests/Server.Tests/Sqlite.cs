global using Xunit;
using Microsoft.Data.Sqlite;

namespace DataSync.Server.Tests;

internal static class Sqlite
{
    public static void ExecuteText(this SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}
