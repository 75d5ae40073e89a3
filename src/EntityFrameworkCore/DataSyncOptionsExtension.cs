using DataSync.Vfs;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.Extensions.DependencyInjection;

namespace DataSync.EntityFrameworkCore;

/// <summary>Which database of which factory a context uses.</summary>
internal sealed class DataSyncOptionsExtension(DataSyncFactory? factory, string? database) : IDbContextOptionsExtension
{
    private ExtensionInfo? _info;

    /// <summary>Opens it.</summary>
    /// <exception cref="InvalidOperationException">At design time there is none.</exception>
    public DataSyncFactory Factory =>
        factory ?? throw new InvalidOperationException("The context was made for design time (UseDataSync without a factory), so it has no database. Give UseDataSync the DataSyncFactory.");

    /// <summary>The database's name.</summary>
    public string Database => database ?? factory?.DefaultDatabase ?? "app.db";

    public string ConnectionString => $"Data Source={Database}";

    public DbContextOptionsExtensionInfo Info => _info ??= new(this);

    public void ApplyServices(IServiceCollection services)
    {
    }

    public void Validate(IDbContextOptions options)
    {
    }

    private sealed class ExtensionInfo(DataSyncOptionsExtension extension) : DbContextOptionsExtensionInfo(extension)
    {
        public override bool IsDatabaseProvider => false;

        public override string LogFragment => $"DataSync={extension.Database} ";

        public override int GetServiceProviderHashCode() => 0;

        public override bool ShouldUseSameServiceProvider(DbContextOptionsExtensionInfo other) => other is ExtensionInfo;

        public override void PopulateDebugInfo(IDictionary<string, string> debugInfo) => debugInfo["DataSync"] = extension.Database;
    }
}
