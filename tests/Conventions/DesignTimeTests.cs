using DataSync.TodoEf;
using Microsoft.EntityFrameworkCore;
using Xunit;

namespace DataSync.Conventions;

/// <summary>What <c>dotnet ef</c> does with an app's model, in a process without any SQLite, as it is there.</summary>
public sealed class DesignTimeTests
{
    [Fact]
    public void Migrations_are_made_where_nothing_can_be_opened()
    {
        using var context = new DesignTime().CreateDbContext([]);
        Assert.False(context.Database.HasPendingModelChanges(), "samples/TodoEf: its model has changed since its last migration.");
        Assert.Contains("CREATE TABLE \"Todos\"", context.Database.GenerateCreateScript(), StringComparison.Ordinal);
        Assert.Contains("design time", Assert.Throws<InvalidOperationException>(() => context.Database.OpenConnection()).Message, StringComparison.Ordinal);
        Assert.False(context.Database.CanConnect());
    }
}
