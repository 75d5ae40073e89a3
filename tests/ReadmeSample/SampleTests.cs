using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Bunit;
using DataSync.Vfs;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace DataSync.ReadmeSample;

/// <summary>The component in README.md, compiled and used.</summary>
public sealed partial class SampleTests : IAsyncLifetime
{
    /// <summary>More than anything here may take; what hangs fails with it.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("datasync-").FullName;
    private readonly BunitContext _app = new();

    public Task InitializeAsync()
    {
        _app.Services.AddDataSync(o => o.Directory = _folder);
        return Task.CompletedTask;
    }

    public async Task DisposeAsync()
    {
        await _app.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void The_component_is_the_one_in_the_README()
    {
        var readme = File.ReadAllText(Path.Combine(Here(), "..", "..", "README.md")).ReplaceLineEndings("\n");
        var shown = Fence().Match(readme).Groups[1].Value;
        var sample = File.ReadAllText(Path.Combine(Here(), "Sample.razor")).ReplaceLineEndings("\n");
        Assert.Equal(sample, Indentation().Replace(shown, ""));
    }

    [Fact]
    public void A_note_that_is_added_is_shown()
    {
        var page = _app.Render<Sample>();
        Add(page, "milk");
        page.WaitForAssertion(() => Assert.Equal(["milk"], Notes(page)), Patience);
        Add(page, "bread");
        page.WaitForAssertion(() => Assert.Equal(["milk", "bread"], Notes(page)), Patience);
    }

    [Fact]
    public async Task A_note_of_another_tab_is_shown()
    {
        var page = _app.Render<Sample>();
        await using var otherTab = new BunitContext();
        otherTab.Services.AddDataSync(o => o.Directory = _folder);
        var other = otherTab.Render<Sample>();
        Add(other, "milk");
        page.WaitForAssertion(() => Assert.Equal(["milk"], Notes(page)), Patience);
        other.WaitForAssertion(() => Assert.Equal(["milk"], Notes(other)), Patience);
    }

    [Fact]
    public async Task A_page_that_is_left_while_it_opens_its_database_does_no_harm()
    {
        _app.Render<Sample>();
        await _app.DisposeComponentsAsync();
        var database = await _app.Services.GetRequiredService<DataSyncFactory>().OpenAsync();
        await database.ExecuteAsync("CREATE TABLE IF NOT EXISTS other(v)");
        var next = _app.Render<Sample>();
        Add(next, "milk");
        next.WaitForAssertion(() => Assert.Equal(["milk"], Notes(next)), Patience);
        Assert.False(_app.Renderer.UnhandledException.IsCompleted);
    }

    private static void Add(IRenderedComponent<Sample> page, string text)
    {
        page.WaitForAssertion(() => Assert.False(page.Find("button").HasAttribute("disabled")), Patience);
        page.Find("input").Change(text);
        page.Find("button").Click();
    }

    private static IEnumerable<string> Notes(IRenderedComponent<Sample> page) => page.FindAll("li").Select(item => item.TextContent);

    private static string Here([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;

    [GeneratedRegex("```razor\n(.*?)   ```\n", RegexOptions.Singleline)]
    private static partial Regex Fence();

    [GeneratedRegex("^   ", RegexOptions.Multiline)]
    private static partial Regex Indentation();
}
