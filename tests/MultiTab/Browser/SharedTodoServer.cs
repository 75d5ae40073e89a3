using System.Text.RegularExpressions;
using DataSync.MultiTab.Packages;

namespace DataSync.MultiTab.Browser;

/// <summary>samples/SharedTodo as it is published: a process of its own, over a temporary directory, that can be killed and started again at the same address.</summary>
/// <param name="postgres">Where its databases are instead; null: in that directory.</param>
/// <param name="keys">Another one, whose cookies it takes, too.</param>
internal sealed class SharedTodoServer(string? postgres = null, SharedTodoServer? keys = null) : IAsyncDisposable
{
    private static readonly string Published = Build.Metadata("DataSync.SharedTodo.Published");

    private readonly string folder = keys?.folder ?? Directory.CreateTempSubdirectory("shared-todo-").FullName;
    private DotnetProcess? process;

    /// <summary>For example http://127.0.0.1:41234, without a slash at the end.</summary>
    public string Url { get; private set; } = "http://127.0.0.1:0";

    public int Port => new Uri(Url).Port;

    /// <summary>All that the present process has said.</summary>
    public string Log => process!.Log;

    /// <summary>How many connections the present process has, and how many it ever had.</summary>
    public (int Now, int Ever) CountConnections()
    {
        var log = Log;
        var ever = Regex.Count(log, @" connected, (Write|Read)");
        return (ever - Regex.Count(log, " disconnected: "), ever);
    }

    /// <inheritdoc cref="SharedTodoServer(string?, SharedTodoServer?)" path="/param"/>
    public static async Task<SharedTodoServer> StartNewAsync(string? postgres = null, SharedTodoServer? keys = null)
    {
        var server = new SharedTodoServer(postgres, keys);
        await server.StartAsync();
        return server;
    }

    /// <summary>Starts it, again at the address that it had.</summary>
    public async Task StartAsync()
    {
        var settings = new Dictionary<string, string> { ["Data"] = folder, ["Logging__LogLevel__DataSync"] = "Debug", ["Logging__Console__FormatterOptions__SingleLine"] = "true" };
        if (postgres is not null) settings["ConnectionStrings__Postgres"] = postgres;
        process = DotnetProcess.Start(settings, Published, Path.Combine(Published, "DataSync.SharedTodo.dll"), "--urls", Url);
        Url = await process.WaitForAsync(@"Now listening on: (http://\S+)");
    }

    /// <summary>Ends it without a word (SIGKILL).</summary>
    public async Task KillAsync()
    {
        await process!.DisposeAsync();
        process = null;
    }

    public async ValueTask DisposeAsync()
    {
        if (process is not null) await process.DisposeAsync();
        if (keys is null) TemporaryFolder.Delete(folder);
    }
}
