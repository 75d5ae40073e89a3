using System.Reflection;
using System.Text.RegularExpressions;
using Microsoft.Extensions.Logging;
using Xunit;

namespace DataSync.Conventions;

public sealed partial class HouseRuleTests
{
    public static TheoryData<string> LibraryNames => new(Repository.Libraries.Select(library => library.GetName().Name!));

    /// <summary>A change of the public surface is seen in review: run with DATASYNC_UPDATE_API=1 to write the listing anew.</summary>
    [Theory]
    [MemberData(nameof(LibraryNames))]
    public void The_public_surface_is_as_listed(string library)
    {
        var path = Path.Combine(Repository.Root, "docs", "api", library + ".txt");
        var listing = ApiListing.Of(Library(library));
        if (Environment.GetEnvironmentVariable("DATASYNC_UPDATE_API") == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, listing);
        }

        Assert.True(File.Exists(path), $"There is no listing of {library}. Run this test with DATASYNC_UPDATE_API=1.");
        Assert.Equal(File.ReadAllText(path).ReplaceLineEndings("\n"), listing);
    }

    /// <summary>What users do not need is internal.</summary>
    [Fact]
    public void The_front_is_narrow()
    {
        Assert.InRange(Repository.Libraries.Take(3).Sum(library => library.GetExportedTypes().Length), 1, 90);
        Assert.All(Repository.Libraries.Skip(3), library => Assert.InRange(library.GetExportedTypes().Length, 1, 4));
    }

    [Theory]
    [MemberData(nameof(LibraryNames))]
    public void Public_classes_are_sealed_or_meant_to_be_derived_from(string library) => Assert.All(
        Library(library).GetExportedTypes().Where(type => type is { IsClass: true, IsSealed: false, IsAbstract: false }),
        type => Assert.True(typeof(Exception).IsAssignableFrom(type), $"{type} is neither sealed nor a base of exceptions."));

    [Fact]
    public void Log_events_have_unique_ids_in_their_librarys_band()
    {
        var seen = new HashSet<int>();
        foreach (var (library, band) in Repository.Libraries.Where(library => library.GetTypes().Any(type => type.Name == "Log")).Zip([1000, 2000, 3000, 4000, 5000, 6000], (library, band) => (library, band)))
        {
            var ids = library.GetTypes().Where(type => type.Name == "Log")
                .SelectMany(type => type.GetMethods(BindingFlags.Static | BindingFlags.Public | BindingFlags.NonPublic))
                .Select(method => method.GetCustomAttribute<LoggerMessageAttribute>()?.EventId).OfType<int>().ToList();
            Assert.NotEmpty(ids);
            Assert.All(ids, id => Assert.InRange(id, band, band + 999));
            Assert.All(ids, id => Assert.True(seen.Add(id), $"Event id {id} is used twice."));
        }
    }

    [Theory]
    [InlineData(".cs", 400)]
    [InlineData(".js", 300)]
    public void Source_files_are_not_too_long(string ending, int mostLines) => Assert.All(
        Repository.Sources(ending),
        file => Assert.True(File.ReadLines(file).Count() <= mostLines, $"{file} has more than {mostLines} lines."));

    /// <summary>The service worker of Blazor's template keeps no other files, and not every host serves .mjs as JavaScript.</summary>
    [Theory]
    [InlineData("DataSync.Coordination")]
    [InlineData("DataSync.Storage")]
    [InlineData("DataSync.Vfs")]
    public void An_app_without_a_network_finds_every_script(string library)
    {
        var assets = Repository.WebAssets(Library(library));
        Assert.All(assets, asset => Assert.Contains(Path.GetExtension(asset), (string[])[".js", ".json", ".wasm", ".gz"]));
        Assert.DoesNotContain(assets, asset => asset.Contains(".mjs", StringComparison.Ordinal));
        var folder = Path.Combine(Repository.Root, "src", library.Split('.')[^1], "wwwroot");
        Assert.All(Directory.EnumerateFiles(folder, "*.js"), script =>
        {
            Assert.Contains(Path.GetFileName(script), assets);
            foreach (Match import in RelativeImport().Matches(File.ReadAllText(script))) Assert.Contains(import.Groups[1].Value, assets);
        });
    }

    [Fact]
    public void SQLite_is_shipped_as_two_files() => Assert.Equal(
        ["sqlite/sqlite3.js", "sqlite/sqlite3.wasm"],
        Repository.WebAssets(Library("DataSync.Vfs")).Where(asset => asset.StartsWith("sqlite/", StringComparison.Ordinal) && asset.Split('.').Length == 2).Order());

    [Fact]
    public void Dependencies_point_one_way()
    {
        var (coordination, storage) = (Repository.Libraries[0], Repository.Libraries[1]);
        Assert.DoesNotContain(coordination.GetReferencedAssemblies(), a => a.Name is "DataSync.Storage" or "DataSync.Vfs");
        Assert.DoesNotContain(storage.GetReferencedAssemblies(), a => a.Name == "DataSync.Vfs");
        Assert.DoesNotContain(
            Repository.Libraries[2].GetReferencedAssemblies(),
            a => a.Name!.Contains("EntityFramework", StringComparison.Ordinal) || a.Name.Contains("ostgre", StringComparison.Ordinal) || a.Name == "Npgsql" || a.Name.Contains("Components", StringComparison.Ordinal) || a.Name == "DataSync.Blazor");
    }

    [GeneratedRegex(@"(?:from|import\()\s*'\./([^']+)'")]
    private static partial Regex RelativeImport();

    private static Assembly Library(string name) => Repository.Libraries.Single(library => library.GetName().Name == name);
}
