using System.Runtime.CompilerServices;
using Bunit;
using DataSync.Vfs;
using Microsoft.Extensions.DependencyInjection;
using Xunit;

namespace DataSync.ReadmeSample;

/// <summary>The component in README.md, compiled and used.</summary>
public sealed class SampleTests : IAsyncLifetime, IDisposable
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

    public async Task DisposeAsync() => await _app.DisposeAsync();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("README.md", "   ")]
    [InlineData("src/Vfs/README.md", "")]
    public void The_component_is_the_one_in_the_README(string file, string indentation)
    {
        var readme = File.ReadAllText(Path.Combine(Here(), "..", "..", file)).ReplaceLineEndings("\n");
        var shown = readme.Split($"{indentation}```razor\n")[1].Split($"{indentation}```\n")[0];
        var sample = File.ReadAllText(Path.Combine(Here(), "Sample.razor")).ReplaceLineEndings("\n");
        Assert.Equal(sample, string.Concat(shown.Split('\n').Select(line => (line.StartsWith(indentation, StringComparison.Ordinal) ? line[indentation.Length..] : line) + "\n"))[..^1]);
    }

    [Fact]
    public async Task A_note_that_is_added_is_shown()
    {
        var page = _app.Render<Sample>();
        await AddAsync(page, "milk");
        await ShowsAsync(page, ["milk"]);
        await AddAsync(page, "bread");
        await ShowsAsync(page, ["milk", "bread"]);
    }

    [Fact]
    public async Task A_note_of_another_tab_is_shown()
    {
        var page = _app.Render<Sample>();
        await using var otherTab = new BunitContext();
        otherTab.Services.AddDataSync(o => o.Directory = _folder);
        var other = otherTab.Render<Sample>();
        await AddAsync(other, "milk");
        await ShowsAsync(page, ["milk"]);
        await ShowsAsync(other, ["milk"]);
    }

    [Fact]
    public async Task A_page_that_is_left_while_it_opens_its_database_does_no_harm()
    {
        _app.Render<Sample>();
        await _app.DisposeComponentsAsync();
        var database = await _app.Services.GetRequiredService<DataSyncFactory>().OpenAsync();
        await database.ExecuteAsync("CREATE TABLE IF NOT EXISTS other(v)");
        var next = _app.Render<Sample>();
        await AddAsync(next, "milk");
        await ShowsAsync(next, ["milk"]);
        Assert.False(_app.Renderer.UnhandledException.IsCompleted);
    }

    private static async Task AddAsync(IRenderedComponent<Sample> page, string text)
    {
        await UntilAsync(page, () => !page.Find("button").HasAttribute("disabled"));
        // Found and used in one step of the renderer: a commit that arrives between the two renders again, with new event handlers.
        await page.InvokeAsync(() => page.Find("input").ChangeAsync(text));
        await page.InvokeAsync(() => page.Find("button").ClickAsync(new()));
    }

    private static Task ShowsAsync(IRenderedComponent<Sample> page, params string[] notes) =>
        UntilAsync(page, () => page.FindAll("li").Select(item => item.TextContent).SequenceEqual(notes));

    /// <summary>Looks after each time the page was rendered. No thread is blocked: it could be the one that brings the database its answers.</summary>
    private static async Task UntilAsync(IRenderedComponent<Sample> page, Func<bool> isSo)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        page.OnMarkupUpdated += Look;
        await page.InvokeAsync(() => Look(null, EventArgs.Empty));
        await done.Task.WaitAsync(Patience);
        page.OnMarkupUpdated -= Look;

        void Look(object? sender, EventArgs e)
        {
            if (isSo()) done.TrySetResult();
        }
    }

    private static string Here([CallerFilePath] string path = "") => Path.GetDirectoryName(path)!;
}
