using Microsoft.Data.Sqlite;
using Xunit;

namespace DataSync.Blazor.Tests;

/// <summary>Parameters are the same where their values are, however they are given.</summary>
public sealed class ParameterValuesTests
{
    public static TheoryData<Func<int, object?>> Forms =>
    [
        v => new { a = v, b = "x" },
        v => new Named { A = v },
        v => new Both(v, "x"),
        v => new Dictionary<string, object?> { ["a"] = v, ["b"] = null },
        v => new object?[] { v, null },
        v => new List<int> { v },
        v => Enumerable.Repeat(v, 2),
        v => new[] { new SqliteParameter("$a", v) },
        v => new object?[] { new[] { (byte)v } },
        v => new { data = new[] { (byte)v } },
    ];

    [Theory]
    [MemberData(nameof(Forms))]
    public void They_are_compared_by_their_values(Func<int, object?> make)
    {
        Assert.Equal(ParameterValues.Of(make(1)), ParameterValues.Of(make(1)));
        Assert.NotEqual(ParameterValues.Of(make(1)), ParameterValues.Of(make(2)));
        Assert.NotEqual(ParameterValues.Of(make(1)), ParameterValues.Of(null));
    }

    [Fact]
    public void None_are_the_same_as_none() => Assert.Equal(ParameterValues.Of(null), ParameterValues.Of(null));

    [Fact]
    public void The_order_counts_only_without_names()
    {
        Assert.Equal(
            ParameterValues.Of(new Dictionary<string, object?> { ["a"] = 1, ["b"] = 2 }), ParameterValues.Of(new Dictionary<string, object?> { ["b"] = 2, ["a"] = 1 }));
        Assert.NotEqual(ParameterValues.Of(new object?[] { 1, 2 }), ParameterValues.Of(new object?[] { 2, 1 }));
    }

    [Fact]
    public void What_is_changed_in_place_is_another()
    {
        var named = new Dictionary<string, object?> { ["a"] = 1 };
        var before = ParameterValues.Of(named);
        named["a"] = 2;
        Assert.NotEqual(before, ParameterValues.Of(named));
    }

    private sealed class Named
    {
        public int A { get; set; }
    }

    private sealed record Both(int A, string B);
}
