using Microsoft.EntityFrameworkCore;

namespace DataSync.TodoEf;

public sealed class TodoContext(DbContextOptions<TodoContext> options) : DbContext(options)
{
    public DbSet<TodoList> Lists => Set<TodoList>();

    public DbSet<Todo> Todos => Set<Todo>();

    protected override void OnModelCreating(ModelBuilder modelBuilder)
    {
        modelBuilder.Entity<TodoList>().HasIndex(list => list.Name).IsUnique();
        modelBuilder.Entity<TodoList>().HasMany(list => list.Todos).WithOne().HasForeignKey(todo => todo.ListId);
        modelBuilder.Entity<TodoList>().HasData(new TodoList { Id = 1, Name = "Home" });
    }
}

public sealed class TodoList
{
    public int Id { get; set; }

    public required string Name { get; set; }

    public List<Todo> Todos { get; } = [];
}

public sealed class Todo
{
    public int Id { get; set; }

    public required string Text { get; set; }

    public bool IsDone { get; set; }

    public int ListId { get; set; } = 1;
}
