namespace DataSync.Bench.Client;

/// <summary>A row of <c>t</c>, as every library has it (rows.js).</summary>
internal sealed record Row(long Id, string Name, double Value, byte[] Payload)
{
    public const string Create = "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, name TEXT, value REAL, payload BLOB)";
    public const string Insert = "INSERT INTO t(id, name, value, payload) VALUES ($id, $name, $value, $payload)";
    public const string InsertPositional = "INSERT INTO t(id, name, value, payload) VALUES (?, ?, ?, ?)";
    public const string SelectOne = "SELECT id, name, value, payload FROM t WHERE id = $id";
    public const string SelectAll = "SELECT id, name, value, payload FROM t";
    public const string Sum = "SELECT count(*) AS count, sum(value) AS sum FROM t";

    /// <summary>Adds rows without a value crossing into SQLite; used outside timings.</summary>
    public const string Fill = """
        WITH RECURSIVE n(i) AS (SELECT $first UNION ALL SELECT i + 1 FROM n WHERE i < $last)
        INSERT INTO t(id, name, value, payload) SELECT i, 'name of row ' || i, i * 0.5, randomblob(100) FROM n
        """;

    public static Row Make(long id)
    {
        var payload = new byte[100];
        for (var i = 0; i < payload.Length; i++) payload[i] = (byte)(id * 31 + i * 7);
        return new(id, $"name of row {id}", id * 0.5, payload);
    }

    public static Row[] Make(long first, int count) => [.. Enumerable.Range(0, count).Select(i => Make(first + i))];

    /// <summary>The same keys for every library.</summary>
    public static long[] Keys(int rows, int count)
    {
        var keys = new long[count];
        var key = 12345L;
        for (var i = 0; i < count; i++)
        {
            key = (key * 1103515245 + 12345) % 2147483648;
            keys[i] = 1 + key % rows;
        }

        return keys;
    }
}

internal sealed record Total(long Count, double Sum);
