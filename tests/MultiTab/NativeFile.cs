using System.Globalization;
using Microsoft.Data.Sqlite;

namespace DataSync.MultiTab;

/// <summary>Database files as SQLite outside the browser makes and reads them.</summary>
public static class NativeFile
{
    /// <summary>What <see cref="Create"/> makes: something of everything that SQLite stores in a special way.</summary>
    private const string Content = """
        CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE, height REAL, photo BLOB,
          shout TEXT GENERATED ALWAYS AS (upper(name) || '!') STORED, twice REAL AS (height * 2) VIRTUAL);
        CREATE INDEX person_name ON person(name, height DESC);
        CREATE INDEX person_tall ON person(height) WHERE height > 1.8;
        CREATE TABLE pair(a TEXT, b INTEGER, note TEXT, PRIMARY KEY(a, b)) WITHOUT ROWID;
        CREATE TABLE audit(id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT);
        CREATE TRIGGER person_insert AFTER INSERT ON person BEGIN INSERT INTO audit(what) VALUES ('+' || new.name); END;
        CREATE TRIGGER person_delete AFTER DELETE ON person BEGIN INSERT INTO audit(what) VALUES ('-' || old.name); END;
        CREATE VIEW tall AS SELECT name, twice FROM person WHERE height > 1.8;
        CREATE VIRTUAL TABLE text USING fts5(title, body, tokenize = 'unicode61');
        CREATE VIRTUAL TABLE area USING rtree(id, minX, maxX, minY, maxY);
        INSERT INTO person(name, height) VALUES ('Ada', 1.6), ('Zoë', 1.9), ('李小龍', 1.72), ('Ωμέγα 😀', NULL), ('naïve ''quote''', 1.85);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
          INSERT INTO pair SELECT 'k' || (i % 50), i, printf('note %d – ünïcödé', i) FROM n;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
          INSERT INTO text(title, body) SELECT 'title ' || i, 'the quick brown fox no ' || i || CASE WHEN i % 7 = 0 THEN ' straße' ELSE '' END FROM n;
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
          INSERT INTO area SELECT i, i, i + 0.5, -i, -i + 0.5 FROM n;
        """;

    /// <summary>Questions whose answers must not depend on where they are asked.</summary>
    public static IReadOnlyList<string> Questions { get; } =
    [
        "SELECT name, type, tbl_name, sql FROM sqlite_schema ORDER BY 1, 2",
        "SELECT id, name, height, length(photo), hex(substr(photo, 1, 16)), hex(substr(photo, -16)), shout, twice FROM person ORDER BY id",
        "SELECT name FROM person ORDER BY name, id",
        "SELECT * FROM tall ORDER BY 1",
        "SELECT a, count(*), sum(b), max(note) FROM pair GROUP BY a ORDER BY a",
        "SELECT * FROM audit ORDER BY id",
        "SELECT rowid, title FROM text WHERE text MATCH 'straße' ORDER BY rowid",
        "SELECT rowid FROM text WHERE text MATCH 'fox AND 123' ORDER BY rank",
        "SELECT id FROM area WHERE minX >= 100 AND maxX <= 110 AND minY < -101 ORDER BY id",
        "SELECT seq FROM sqlite_sequence",
    ];

    /// <summary>Makes a file of one page size, with a blob of 5 MB, and returns its bytes.</summary>
    /// <param name="pageSize">512 to 65536.</param>
    /// <param name="pragmas">Run before anything is made.</param>
    public static byte[] Create(int pageSize, string pragmas = "")
    {
        var folder = Directory.CreateTempSubdirectory("datasync-native-").FullName;
        try
        {
            var path = Path.Combine(folder, "native.db");
            using (var connection = Open(path))
            {
                Execute(connection, $"PRAGMA page_size={pageSize.ToString(CultureInfo.InvariantCulture)}; {pragmas}; {Content}");
                Execute(connection, "INSERT INTO person(name, height, photo) VALUES ('photo', 2.0, $0)", Blob());
            }

            return File.ReadAllBytes(path);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Opens a file's bytes, asserts nothing, and hands the connection to <paramref name="look"/>.</summary>
    public static T Look<T>(byte[] file, Func<SqliteConnection, T> look)
    {
        var folder = Directory.CreateTempSubdirectory("datasync-native-").FullName;
        try
        {
            var path = Path.Combine(folder, "exported.db");
            File.WriteAllBytes(path, file);
            using var connection = Open(path);
            return look(connection);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Every answer to <see cref="Questions"/> as JSON text, one list of rows for each.</summary>
    public static string[][] Answers(SqliteConnection connection) => [.. Questions.Select(question => Rows(connection, question))];

    /// <summary>Every row as JSON text.</summary>
    public static string[] Rows(SqliteConnection connection, string sql)
    {
        using var command = Command(connection, sql);
        using var reader = command.ExecuteReader();
        var rows = new List<string>();
        while (reader.Read())
        {
            var values = new object?[reader.FieldCount];
            for (var i = 0; i < values.Length; i++) values[i] = reader.IsDBNull(i) ? null : reader.GetValue(i);
            rows.Add(PageJson.Normalize(System.Text.Json.JsonSerializer.Serialize(values)));
        }

        return [.. rows];
    }

    public static void Execute(SqliteConnection connection, string sql, params object[] values)
    {
        using var command = Command(connection, sql);
        for (var i = 0; i < values.Length; i++) command.Parameters.AddWithValue($"${i}", values[i]);
        command.ExecuteNonQuery();
    }

    public static SqliteConnection Open(string path)
    {
        SQLitePCL.Batteries_V2.Init();
        var connection = new SqliteConnection($"Data Source={path};Pooling=False");
        connection.Open();
        return connection;
    }

    private static byte[] Blob()
    {
        var blob = new byte[5_000_000];
        new Random(7).NextBytes(blob);
        return blob;
    }

    private static SqliteCommand Command(SqliteConnection connection, string sql)
    {
        var command = connection.CreateCommand();
#pragma warning disable CA2100 // The tests' own text.
        command.CommandText = sql;
#pragma warning restore CA2100
        return command;
    }
}
