using Microsoft.EntityFrameworkCore;

namespace DataSync.Bench.Client;

/// <summary>The table of every other library. Keys are given, so that an insert is the one that the others make.</summary>
internal sealed class RowContext(DbContextOptions<RowContext> options) : DbContext(options)
{
    protected override void OnModelCreating(ModelBuilder modelBuilder) => modelBuilder.Entity<Row>(row =>
    {
        row.ToTable("t");
        row.Property(r => r.Id).HasColumnName("id").ValueGeneratedNever();
        row.Property(r => r.Name).HasColumnName("name");
        row.Property(r => r.Value).HasColumnName("value");
        row.Property(r => r.Payload).HasColumnName("payload");
    });
}
