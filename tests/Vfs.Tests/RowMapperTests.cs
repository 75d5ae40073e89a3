using System.Text;
using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Vfs.Tests;

/// <summary>Rows become objects.</summary>
public sealed class RowMapperTests
{
    private enum Color
    {
        Red,
        Green,
    }

    private enum Tiny : byte
    {
        One = 1,
    }

    private enum Huge : ulong
    {
        Most = ulong.MaxValue,
    }

    [Fact]
    public void Scalars_take_the_first_column()
    {
        Assert.Equal([1L, 2L], Map<long>("VALUES (1), (2)"));
        Assert.Equal([7], Map<int>("SELECT 7, 'ignored'"));
        Assert.Equal([1.5, 2.0], Map<double>("VALUES (1.5), (2)"));
        Assert.Equal([true, false], Map<bool>("VALUES (1), (0)"));
        Assert.Equal(["a", null], Map<string?>("VALUES ('a'), (NULL)"));
        Assert.Equal([3, null], Map<int?>("VALUES (3), (NULL)"));
        Assert.Equal([12.34m], Map<decimal>("SELECT '12.34'"));
        Assert.Equal(new byte[] { 1, 2 }, Assert.Single(Map<byte[]>("SELECT x'0102'")));
        Assert.Equal([Color.Green, Color.Green, null], Map<Color?>("VALUES (1), ('Green'), (NULL)"));
        Assert.Equal([5L, "x"], Map<object>("VALUES (5), ('x')"));
    }

    [Fact]
    public void Times_and_ids_come_back_from_how_Microsoft_Data_Sqlite_stores_them()
    {
        var id = Guid.NewGuid();
        Assert.Equal([id], RoundTrip(id));
        Assert.Equal([id], Map<Guid>("SELECT $v", id.ToByteArray()));
        var time = new DateTime(2026, 11, 22, 1, 2, 3, 456);
        Assert.Equal([time], RoundTrip(time));
        var offset = new DateTimeOffset(time, TimeSpan.FromHours(-5));
        Assert.Equal([offset], RoundTrip(offset));
        Assert.Equal(offset.Offset, Assert.Single(RoundTrip(offset)).Offset);
        Assert.Equal([new DateOnly(2026, 11, 22)], RoundTrip(new DateOnly(2026, 11, 22)));
        Assert.Equal([new TimeOnly(23, 59, 58)], RoundTrip(new TimeOnly(23, 59, 58)));
        Assert.Equal([TimeSpan.FromDays(3.5)], RoundTrip(TimeSpan.FromDays(3.5)));
        Assert.Equal(['ä'], RoundTrip('ä'));
        Assert.Equal([ulong.MaxValue], RoundTrip(ulong.MaxValue));
        Assert.Equal([Huge.Most], RoundTrip(Huge.Most));
    }

    [Fact]
    public void Records_classes_and_structs_are_made_by_name()
    {
        const string Sql = "SELECT 1 AS id, 'a' AS first_name, NULL AS Height, 9 AS extra";
        Assert.Equal([new Person(1, "a", null)], Map<Person>(Sql));
        Assert.Equal([new Point(1, "a")], Map<Point>("SELECT 1 AS X, 'a' AS NAME"));
        var item = Assert.Single(Map<Item>(Sql));
        Assert.Equal((1, "a", 9L), (item.Id, item.FirstName, item.Extra));
        Assert.Equal("as made", item.Untouched);
        Assert.Equal("a", Assert.Single(Map<Choosy>(Sql)).Used);
    }

    [Fact]
    public void Tuples_take_the_columns_in_order()
    {
        Assert.Equal([(1L, "a"), (2L, null)], Map<(long, string?)>("SELECT 1 AS x, 'a' AS y, 'ignored' UNION ALL SELECT 2, NULL, NULL"));
        Assert.Equal([(7, 0.5, true, Color.Green, null)], Map<(int Id, double, bool, Color, DateTime?)>("SELECT 7, 0.5, 1, 'Green', NULL"));
        Assert.Equal([Tuple.Create(1, "a")], Map<Tuple<int, string>>("SELECT 1, 'a'"));
        Assert.Equal([ValueTuple.Create(3)], Map<ValueTuple<int>>("SELECT 3"));
    }

    [Fact]
    public void A_type_that_rows_cannot_become_is_named()
    {
        Assert.Contains("has 3 members, but the columns are only x, y", Fails<(int, int, int)>("SELECT 1 AS x, 2 AS y"), StringComparison.Ordinal);
        Assert.Contains("Use a record", Fails<(int, (int, int))>("SELECT 1, 2, 3"), StringComparison.Ordinal);
        Assert.Contains("Use a record", Fails<(int, int, int, int, int, int, int, int)>("SELECT 1, 2, 3, 4, 5, 6, 7, 8"), StringComparison.Ordinal);
        Assert.Contains("DBNull is no type of a single column", Fails<DBNull>("SELECT '1.2' AS url"), StringComparison.Ordinal);
        Assert.Contains("nothing that is named as a column is; the columns are a_b", Fails<List<int>>("SELECT 1 AS a_b"), StringComparison.Ordinal);
        var error = Assert.Throws<InvalidCastException>(() => Map<Linked>("SELECT 1 AS id, '1.2' AS link"));
        Assert.Contains("Column 'link' does not fit Version: no value of SQLite becomes a Version", error.Message, StringComparison.Ordinal);
        Assert.Equal([new Linked(1, null)], Map<Linked>("SELECT 1 AS id, NULL AS link"));

        static string Fails<T>(string sql) => Assert.Throws<InvalidOperationException>(() => Map<T>(sql)).Message;
    }

    [Fact]
    public void What_does_not_fit_says_which_column_and_why()
    {
        Assert.Contains("'n' does not fit Int32", Assert.Throws<InvalidCastException>(() => Map<int>("SELECT 2147483648 AS n")).Message, StringComparison.Ordinal);
        Assert.Contains("NULL", Assert.Throws<InvalidCastException>(() => Map<int>("SELECT NULL AS n")).Message, StringComparison.Ordinal);
        Assert.Contains("use Int64?", Assert.Throws<InvalidCastException>(() => Map<Person>("SELECT NULL AS id, 'a' AS firstname, 1 AS height")).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidCastException>(() => Map<byte>("SELECT 300"));
        Assert.Throws<InvalidCastException>(() => Map<Color>("SELECT 'Blue'"));
        Assert.Throws<InvalidCastException>(() => Map<Color>("SELECT 4294967297"));
        Assert.Throws<InvalidCastException>(() => Map<Tiny>("VALUES (257)"));
        Assert.Throws<InvalidCastException>(() => Map<Tiny>("VALUES ('-1')"));
        Assert.Throws<InvalidCastException>(() => Map<DateTime>("SELECT 'soon'"));
        Assert.Contains("the columns are id", Assert.Throws<InvalidOperationException>(() => Map<Person>("SELECT 1 AS id")).Message, StringComparison.Ordinal);
        Assert.Equal("from the constructor", Assert.Throws<NotSupportedException>(() => Map<Refusing>("SELECT 1 AS id")).Message);
    }

    private static List<T> RoundTrip<T>(T value) => Map<T>("SELECT $v", value);

    private static List<T> Map<T>(string sql, object? value = null)
    {
        SQLitePCL.Batteries_V2.Init();
        using var connection = new SqliteConnection("Data Source=:memory:");
        connection.Open();
        using var statement = Statement.Prepare(connection.Handle!, Encoding.UTF8.GetBytes(sql), out _)!;
        using var parameters = new SqlParameters(connection);
        parameters.Bind(statement, new Dictionary<string, object?> { ["$v"] = value });
        var mapper = new RowMapper<T>(statement.Columns);
        var rows = new List<T>();
        while (statement.Step()) rows.Add(mapper.Map(statement));
        return rows;
    }

    private sealed record Person(long Id, string FirstName, double? Height);

    private readonly record struct Point(int X, string Name);

    private sealed record Linked(int Id, Version? Link);

    private sealed class Item
    {
        public int Id { get; set; }

        public string FirstName { get; set; } = "";

        public long Extra { get; init; }

        public string Untouched { get; set; } = "as made";
    }

    private sealed class Choosy
    {
        public Choosy(int id) => Used = $"{id}";

        public Choosy(int id, string firstName) => Used = id > 0 ? firstName : "";

        public Choosy(string notThere) => Used = notThere;

        public string Used { get; }
    }

    private sealed class Refusing
    {
        public Refusing(int id) => throw new NotSupportedException(id > 0 ? "from the constructor" : "");
    }
}
