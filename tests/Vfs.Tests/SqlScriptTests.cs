using DataSync.Contracts.Scripts;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.Vfs.Tests;

/// <summary>Random scripts natively, against files on SQLite's own VFS.</summary>
public sealed class NativeSqlScripts(ITestOutputHelper output) : SqlScriptContract, IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("datasync-sql-").FullName;
    private int _files;

    protected override string? ReferenceVfs => null;

    [Fact]
    public async Task Two_thousand_scripts_give_what_they_give_on_the_VFS_of_SQLite()
    {
        var coverage = await RunAsync(1, 2000, least: 150);
        output.WriteLine($"{coverage.Steps} statements\n{coverage}");
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    protected override Task RegisterVfsAsync() => NativeSqlite.RegisterAsync();

    protected override string NewReferenceFile() => Path.Combine(_directory, $"{Interlocked.Increment(ref _files)}.db");
}
