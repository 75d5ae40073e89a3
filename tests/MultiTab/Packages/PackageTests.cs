using System.IO.Compression;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Xunit;

namespace DataSync.MultiTab.Packages;

/// <summary>What <c>dotnet pack</c> at the root makes: all that a feed wants of a package.</summary>
[Collection(PackagesCollection.Name)]
public sealed partial class PackageTests(FreshApp app)
{
    private static readonly string[] Libraries = ["DataSync.Blazor", "DataSync.Coordination", "DataSync.EntityFrameworkCore", "DataSync.PostgreSql", "DataSync.Remote", "DataSync.Server", "DataSync.Storage", "DataSync.Vfs"];

    public static TheoryData<string> Names => [.. Libraries, "DataSync.Cli"];

    public static TheoryData<string> LibraryNames => [.. Libraries];

    [Fact]
    public void There_are_the_libraries_and_the_tool_with_their_symbols() => Assert.Equal(
        Libraries.Append("DataSync.Cli").SelectMany(name => new[] { $"{name}.{app.Version}.nupkg", $"{name}.{app.Version}.snupkg" }).Order(StringComparer.Ordinal),
        Directory.EnumerateFiles(app.PackagesFolder).Select(Path.GetFileName).Order(StringComparer.Ordinal));

    [Theory]
    [MemberData(nameof(Names))]
    public void A_package_says_what_it_is(string name)
    {
        using var package = Open(name, "nupkg");
        var metadata = Metadata(package, name);
        Assert.Equal(app.Version, Value("version"));
        Assert.Equal("MIT", Value("license"));
        Assert.Equal("README.md", Value("readme"));
        Assert.Equal("icon.png", Value("icon"));
        Assert.Contains("sqlite", Value("tags"), StringComparison.Ordinal);
        Assert.True(Value("description").Length > 40);
        var repository = Element("repository");
        Assert.Equal("git", repository.Attribute("type")?.Value);
        Assert.Matches("^[0-9a-f]{40}$", repository.Attribute("commit")?.Value);

        var readme = Text(package, "README.md");
        Assert.DoesNotMatch(RelativeLink(), readme);
        Assert.Equal((128, 128), SizeOfPng(package.GetEntry("icon.png")!));

        XElement Element(string key) => metadata.Elements().Single(element => element.Name.LocalName == key);
        string Value(string key) => Element(key).Value;
    }

    [Theory]
    [MemberData(nameof(LibraryNames))]
    public void A_library_brings_its_documentation_its_scripts_and_its_symbols(string name)
    {
        using var package = Open(name, "nupkg");
        var files = package.Entries.Select(entry => entry.FullName).ToArray();
        Assert.Contains($"lib/net10.0/{name}.dll", files);
        Assert.Contains($"lib/net10.0/{name}.xml", files);
        Assert.Equal(
            name is not ("DataSync.EntityFrameworkCore" or "DataSync.Blazor" or "DataSync.PostgreSql" or "DataSync.Remote" or "DataSync.Server"), // they call nothing of the page themselves
            files.Any(file => file.StartsWith("staticwebassets/", StringComparison.Ordinal) && file.EndsWith(".js", StringComparison.Ordinal)));
        Assert.DoesNotContain(files, file => file.Contains("node_modules", StringComparison.Ordinal) || file.EndsWith("package.json", StringComparison.Ordinal));
        using var symbols = Open(name, "snupkg");
        Assert.NotNull(symbols.GetEntry($"lib/net10.0/{name}.pdb"));
    }

    [Theory]
    [InlineData("DataSync.Vfs", "DataSync.Storage")]
    [InlineData("DataSync.Blazor", "DataSync.Vfs")]
    [InlineData("DataSync.PostgreSql", "DataSync.Vfs")]
    [InlineData("DataSync.Remote", "DataSync.Vfs")]
    [InlineData("DataSync.Server", "DataSync.Remote")]
    public void The_libraries_need_each_other_in_the_same_version(string name, string needed)
    {
        using var package = Open(name, "nupkg");
        var dependency = Metadata(package, name).Descendants().Single(element => element.Attribute("id")?.Value == needed);
        Assert.Equal(app.Version, dependency.Attribute("version")!.Value);
    }

    [Fact]
    public void The_tool_is_called_datasync()
    {
        using var package = Open("DataSync.Cli", "nupkg");
        var settings = XDocument.Parse(Text(package, "tools/net10.0/any/DotnetToolSettings.xml"));
        Assert.Equal("datasync", settings.Descendants("Command").Single().Attribute("Name")!.Value);
    }

    private ZipArchive Open(string name, string kind) => ZipFile.OpenRead(Path.Combine(app.PackagesFolder, $"{name}.{app.Version}.{kind}"));

    private static XElement Metadata(ZipArchive package, string name) => XDocument.Parse(Text(package, name + ".nuspec")).Root!.Elements().Single(element => element.Name.LocalName == "metadata");

    private static string Text(ZipArchive package, string file)
    {
        using var reader = new StreamReader((package.GetEntry(file) ?? throw new FileNotFoundException("It is not in the package.", file)).Open());
        return reader.ReadToEnd();
    }

    /// <summary>Width and height come first in a PNG, after 16 bytes.</summary>
    private static (int Width, int Height) SizeOfPng(ZipArchiveEntry entry)
    {
        using var stream = entry.Open();
        var head = new byte[24];
        stream.ReadExactly(head);
        return (System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(16)), System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(20)));
    }

    /// <summary>Where a package is shown there are no other files.</summary>
    [GeneratedRegex(@"\]\((?!https://|#)")]
    private static partial Regex RelativeLink();
}
