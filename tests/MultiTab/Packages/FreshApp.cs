using System.Globalization;
using System.Security;
using DataSync.MultiTab.Browser;
using Xunit;

namespace DataSync.MultiTab.Packages;

/// <summary>The packages, packed, and an app that a newcomer makes of them with nothing but README.md; once for all tests of this folder.</summary>
public sealed class FreshApp : IAsyncLifetime
{
    private readonly string folder = Directory.CreateTempSubdirectory("datasync-app-").FullName;
    private Task<string>? published;

    /// <summary>A version that was never packed before: what NuGet keeps of others is of no use.</summary>
    public string Version { get; } = $"0.1.{TimeProvider.System.GetUtcNow().ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture)}";

    /// <summary>Where the packages are.</summary>
    public string PackagesFolder => Path.Combine(folder, "packages");

    /// <summary>The app's own folder.</summary>
    public string Folder => Path.Combine(folder, "app");

    public string PageFile => Path.Combine(Folder, "Pages", "Home.razor");

    public async Task InitializeAsync()
    {
        Assert.Equal(["dotnet pack -o packages", "dotnet nuget add source \"$PWD/packages\"", "dotnet add package DataSync.Blazor"], Readme.Commands);
        // As the first command, of what was built together with the tests.
        await DotnetProcess.RunAsync(Build.Repository, "pack", "-o", PackagesFolder, "--no-build", "-c", Build.Configuration, $"-p:PackageVersion={Version}");
        Isolate();
        // Into the configuration of this folder, not the one of whoever runs the tests.
        await DotnetProcess.RunAsync(folder, "nuget", "add", "source", PackagesFolder, "--configfile", "nuget.config");
        await DotnetProcess.RunAsync(folder, "new", "blazorwasm", "-o", "app", "--no-restore");
        await DotnetProcess.RunAsync(Folder, Readme.Commands[2].Split(' ')[1..]);

        var program = Path.Combine(Folder, "Program.cs");
        var code = await File.ReadAllTextAsync(program);
        var build = code.IndexOf("await builder.Build()", StringComparison.Ordinal);
        await File.WriteAllTextAsync(program, code.Insert(build, Readme.Registration + "\n"));
        await File.WriteAllTextAsync(PageFile, "@page \"/\"\n\n" + Readme.Component);
    }

    public Task DisposeAsync()
    {
        TemporaryFolder.Delete(folder);
        return Task.CompletedTask;
    }

    /// <summary>What <c>dotnet publish</c> makes of the app, trimmed as it is by default: the folder for a web server.</summary>
    public Task<string> PublishAsync() => published ??= PublishAsync("published");

    /// <summary>The same into a folder of its own, with more arguments.</summary>
    public async Task<string> PublishAsync(string target, params string[] arguments)
    {
        var output = Path.Combine(folder, target);
        await DotnetProcess.RunAsync(Folder, ["publish", "-o", output, .. arguments]);
        return Path.Combine(output, "wwwroot");
    }

    /// <summary>The machine's sources and packages may be read; what is restored goes into a folder of this test.</summary>
    private void Isolate()
    {
        var machine = Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } set
            ? set
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        File.WriteAllText(Path.Combine(folder, "nuget.config"), $"""
            <configuration>
              <config><add key="globalPackagesFolder" value="restored" /></config>
              <fallbackPackageFolders><add key="machine" value="{SecurityElement.Escape(machine)}" /></fallbackPackageFolders>
              <packageSources />
            </configuration>
            """);
    }
}

/// <summary>Tests of the packages build and publish, with all cores: after the others, not beside them.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class PackagesCollection : ICollectionFixture<BrowserFixture>, ICollectionFixture<FreshApp>
{
    public const string Name = "Packages";
}
