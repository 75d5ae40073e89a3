using Dapper;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;

namespace DataSync.Bench.Client;

/// <summary>The work that is timed, written as an application would write it. Nothing else of the bench knows DataSync's API.</summary>
internal sealed class Workloads(DataSyncDatabase database)
{
    public Task CreateAsync() => database.ExecuteAsync(Row.Create);

    public Task ClearAsync() => database.ExecuteAsync("DELETE FROM t");

    public async Task<long> CountAsync() => (await database.QueryAsync<long>("SELECT count(*) FROM t"))[0];

    /// <summary>W1, W6, W7, W8: one insert, durable when it returns.</summary>
    public Task InsertOneAsync(Row row) =>
        database.ExecuteAsync(Row.Insert, new { id = row.Id, name = row.Name, value = row.Value, payload = row.Payload });

    /// <summary>W2: one transaction of many inserts.</summary>
    public Task InsertManyAsync(Row[] rows) => database.ExecuteManyAsync(Row.InsertPositional, [.. rows.Select(row => new object?[] { row.Id, row.Name, row.Value, row.Payload })]);

    /// <summary>W2 through Microsoft.Data.Sqlite with a prepared command.</summary>
    public Task InsertManyPreparedAsync(Row[] rows) => database.WriteAsync(connection =>
    {
        using var command = connection.CreateCommand();
        command.CommandText = Row.Insert;
        var id = command.Parameters.Add("$id", SqliteType.Integer);
        var name = command.Parameters.Add("$name", SqliteType.Text);
        var value = command.Parameters.Add("$value", SqliteType.Real);
        var payload = command.Parameters.Add("$payload", SqliteType.Blob);
        command.Prepare();
        foreach (var row in rows)
        {
            (id.Value, name.Value, value.Value, payload.Value) = (row.Id, row.Name, row.Value, row.Payload);
            command.ExecuteNonQuery();
        }
    });

    /// <summary>W3: selects by key.</summary>
    public async Task<List<Row>> PointsAsync(long[] ids)
    {
        var rows = new List<Row>(ids.Length);
        foreach (var id in ids) rows.Add((await database.QueryAsync<Row>(Row.SelectOne, new { id }))[0]);
        return rows;
    }

    /// <summary>W3 through Microsoft.Data.Sqlite with a prepared command.</summary>
    public List<Row> PointsPrepared(long[] ids)
    {
        var rows = new List<Row>(ids.Length);
        using var connection = OpenConnection();
        using var command = connection.CreateCommand();
        command.CommandText = Row.SelectOne;
        var parameter = command.Parameters.Add("$id", SqliteType.Integer);
        command.Prepare();
        foreach (var id in ids)
        {
            parameter.Value = id;
            using var reader = command.ExecuteReader();
            if (reader.Read()) rows.Add(Read(reader));
        }

        return rows;
    }

    /// <summary>W4: all rows as objects.</summary>
    public Task<IReadOnlyList<Row>> ScanAsync() => database.QueryAsync<Row>(Row.SelectAll);

    /// <summary>W4 and W11 through Microsoft.Data.Sqlite's reader.</summary>
    public List<Row> ScanReader()
    {
        var rows = new List<Row>();
        using var connection = OpenConnection();
        using var command = connection.CreateCommand();
        command.CommandText = Row.SelectAll;
        using var reader = command.ExecuteReader();
        while (reader.Read()) rows.Add(Read(reader));
        return rows;
    }

    /// <summary>W11: all rows through Dapper.</summary>
    public List<Row> ScanDapper()
    {
        using var connection = OpenConnection();
        return connection.Query<Row>(Row.SelectAll).AsList();
    }

    /// <summary>W4: count and sum.</summary>
    public async Task<Total> SumAsync() => (await database.QueryAsync<Total>(Row.Sum))[0];

    /// <summary>W4's count and sum through Microsoft.Data.Sqlite.</summary>
    public Total SumReader()
    {
        using var connection = OpenConnection();
        using var command = connection.CreateCommand();
        command.CommandText = Row.Sum;
        using var reader = command.ExecuteReader();
        reader.Read();
        return new(reader.GetInt64(0), reader.GetDouble(1));
    }

    /// <summary>W5: rows until the database is large; not timed.</summary>
    public Task FillAsync(long first, long last) => database.ExecuteAsync(Row.Fill, new { first, last });

    private static Row Read(SqliteDataReader reader) =>
        new(reader.GetInt64(0), reader.GetString(1), reader.GetDouble(2), reader.GetFieldValue<byte[]>(3));

    private SqliteConnection OpenConnection()
    {
        var connection = new SqliteConnection(database.ConnectionString);
        connection.Open();
        return connection;
    }
}
