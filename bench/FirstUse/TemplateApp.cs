using DataSync.MultiTab.Browser;
using DataSync.MultiTab.Packages;

namespace DataSync.Bench;

/// <summary>What <c>dotnet new blazorwasm</c> makes, as it is or with a page that shows what is in a database; published, as a web server has it.</summary>
internal sealed class TemplateApp : IDisposable
{
    private const string Page = """
        @page "/"
        @using DataSync.Vfs
        @inject DataSyncFactory DataSync

        <h1>Notes</h1>
        @if (notes is not null)
        {
            <ul data-epoch="@epoch">@foreach (var note in notes) { <li>@note</li> }</ul>
        }

        @code {
            private IReadOnlyList<string>? notes;
            private long epoch;

            protected override async Task OnAfterRenderAsync(bool firstRender)
            {
                if (!firstRender) return;
                var db = await DataSync.OpenAsync();
                await db.ExecuteAsync("CREATE TABLE IF NOT EXISTS note(id INTEGER PRIMARY KEY, text TEXT NOT NULL)");
                notes = await db.QueryAsync<string>("SELECT text FROM note ORDER BY id");
                epoch = db.Coordinator.Epoch.Value;
                StateHasChanged();
            }
        }
        """;

    private readonly string folder = Directory.CreateTempSubdirectory("datasync-bench-").FullName;

    /// <summary>The published files; of those that can be compressed only the compressed ones.</summary>
    public string Published => Path.Combine(folder, "published", "wwwroot");

    public static async Task<TemplateApp> PublishAsync(bool hasDataSync)
    {
        var app = new TemplateApp();
        try
        {
            await app.MakeAsync(hasDataSync);
            return app;
        }
        catch
        {
            app.Dispose();
            throw;
        }
    }

    public void Dispose() => TemporaryFolder.Delete(folder);

    private async Task MakeAsync(bool hasDataSync)
    {
        var project = Path.Combine(folder, "FirstUse");
        await DotnetProcess.RunAsync(folder, "new", "blazorwasm", "-o", project, "--no-restore");
        if (hasDataSync)
        {
            await DotnetProcess.RunAsync(folder, "add", project, "reference", Path.Combine(BenchHost.Repository, "src", "Vfs", "DataSync.Vfs.csproj"));
            await File.WriteAllTextAsync(Path.Combine(project, "Pages", "Home.razor"), Page);
            var program = Path.Combine(project, "Program.cs");
            var code = await File.ReadAllTextAsync(program);
            await File.WriteAllTextAsync(program, code.Replace("await builder.Build()", "builder.Services.AddDataSync();\nawait builder.Build()", StringComparison.Ordinal));
        }

        await DotnetProcess.RunAsync(folder, "publish", project, "-o", Path.Combine(folder, "published"));
        foreach (var file in Directory.GetFiles(Published, "*.br", SearchOption.AllDirectories)) File.Delete(file[..^".br".Length]);
    }
}
