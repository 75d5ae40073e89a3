using DataSync.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Design;

namespace DataSync.TodoEf;

/// <summary>What <c>dotnet ef</c> makes its context with.</summary>
public sealed class DesignTime : IDesignTimeDbContextFactory<TodoContext>
{
    public TodoContext CreateDbContext(string[] args)
    {
        var options = new DbContextOptionsBuilder<TodoContext>();
        options.UseDataSync();
        return new(options.Options);
    }
}
