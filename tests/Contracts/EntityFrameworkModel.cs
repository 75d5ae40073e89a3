using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace DataSync.Contracts;

public sealed class Blog
{
    public int Id { get; set; }

    public string Name { get; set; } = "";

    public Place? Home { get; set; }

    public List<Link> Links { get; set; } = [];

    public List<Post> Posts { get; set; } = [];
}

public sealed class Place
{
    public string Street { get; set; } = "";

    public int Number { get; set; }
}

public sealed class Link
{
    public string Url { get; set; } = "";

    public int Weight { get; set; }
}

public sealed class Post
{
    public int Id { get; set; }

    public string Title { get; set; } = "";

    public int Version { get; set; }

    public int BlogId { get; set; }

    public Blog Blog { get; set; } = null!;
}

public enum Mood
{
    Low,
    High = 7,
}

/// <summary>One property of each type that the provider maps.</summary>
public sealed class Values
{
    public int Id { get; set; }

    public bool Bool { get; set; }

    public byte Byte { get; set; }

    public short Short { get; set; }

    public long Long { get; set; }

    public ulong ULong { get; set; }

    public float Float { get; set; }

    public double Double { get; set; }

    public decimal Decimal { get; set; }

    public char Char { get; set; } = '-';

    public string? Text { get; set; }

    public byte[] Bytes { get; set; } = [];

    public Guid Guid { get; set; }

    public DateTime DateTime { get; set; }

    public DateTimeOffset Offset { get; set; }

    public DateOnly Date { get; set; }

    public TimeOnly Time { get; set; }

    public TimeSpan Span { get; set; }

    public Mood Mood { get; set; }

    public Uri? Uri { get; set; }

    public int? Nothing { get; set; }
}

public sealed class BlogContext(DbContextOptions<BlogContext> options) : DbContext(options)
{
    public DbSet<Blog> Blogs => Set<Blog>();

    public DbSet<Post> Posts => Set<Post>();

    public DbSet<Values> Values => Set<Values>();

    protected override void OnModelCreating(ModelBuilder modelBuilder)
    {
        modelBuilder.Entity<Blog>().HasIndex(blog => blog.Name).IsUnique();
        modelBuilder.Entity<Blog>().OwnsOne(blog => blog.Home);
        modelBuilder.Entity<Blog>().OwnsMany(blog => blog.Links, links => links.ToJson());
        modelBuilder.Entity<Post>().Property(post => post.Version).IsConcurrencyToken();
        modelBuilder.Entity<Values>().HasData(new Values { Id = 1, Text = "seeded" });
    }
}

public sealed class Note
{
    public int Id { get; set; }

    public string Text { get; set; } = "";

    public int Stars { get; set; }
}

/// <summary>A model that is made by migrations.</summary>
public sealed class NoteContext(DbContextOptions<NoteContext> options) : DbContext(options)
{
    public DbSet<Note> Notes => Set<Note>();
}

[DbContext(typeof(NoteContext))]
[Migration("20260101000000_First")]
public sealed class FirstMigration : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder) => migrationBuilder.CreateTable(
        "Notes",
        table => new { Id = table.Column<int>().Annotation("Sqlite:Autoincrement", true), Text = table.Column<string>() },
        constraints: table => table.PrimaryKey("PK_Notes", note => note.Id));
}

/// <summary>Of several transactions, as those that rebuild a table are.</summary>
[DbContext(typeof(NoteContext))]
[Migration("20260201000000_Second")]
public sealed class SecondMigration : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder)
    {
        migrationBuilder.Sql("UPDATE Notes SET Text = Text || '!'");
        migrationBuilder.Sql("PRAGMA foreign_keys = 0", suppressTransaction: true);
        migrationBuilder.AddColumn<int>("Stars", "Notes", defaultValue: 3);
        migrationBuilder.Sql("PRAGMA foreign_keys = 1", suppressTransaction: true);
    }
}
