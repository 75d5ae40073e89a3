using System.Collections.Concurrent;
using System.Reflection;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.StaticFiles;
using Microsoft.Extensions.Logging;

namespace DataSync.Bench;

/// <summary>
/// Serves the bench's pages, the npm packages, and DataSync with the .NET runtime. Every answer isolates its page from other
/// origins: some libraries need shared memory, and clocks are finer then.
/// </summary>
internal sealed class BenchHost : IAsyncDisposable
{
    private static readonly FileExtensionContentTypeProvider ContentTypes = new()
    {
        Mappings =
        {
            [".mjs"] = "text/javascript", [".js"] = "text/javascript", [".wasm"] = "application/wasm",
            [".dat"] = "application/octet-stream", [".data"] = "application/octet-stream",
        },
    };

    /// <summary>What DataSync, and EF Core where it is used, brings into an app; the runtime, the base library, Blazor and what only the workloads use are not a part of it.</summary>
    private static readonly string[] OwnAssemblies = ["DataSync.Coordination.", "DataSync.Storage.", "DataSync.Vfs.", "DataSync.EntityFrameworkCore.", "Microsoft.EntityFrameworkCore.", "Microsoft.Data.Sqlite.", "SQLitePCLRaw.", "Polly."];

    /// <summary>Where the page of a server's client is.</summary>
    public const string RemotePage = "/datasync-remote";

    private const string RemoteClient = "DataSync.Bench.Remote";

    private readonly WebApplication app;
    private readonly ConcurrentDictionary<string, string> served = new();

    private BenchHost(WebApplication app) => this.app = app;

    public static string Repository { get; } = Metadata("DataSync.Repository");

    /// <summary>Whether the page of a server's client was published; a build for trying the bench leaves it out.</summary>
    public static bool HasRemotePage => Find($"{RemoteClient}.Published") is not null;

    public static string Folder { get; } = Path.Combine(Repository, "bench");

    /// <summary>For example http://127.0.0.1:41234, without a slash at the end.</summary>
    public string Url => app.Urls.Single();

    /// <summary>Starts one.</summary>
    /// <param name="configure">Adds what else it serves; null for nothing.</param>
    /// <param name="map">Maps that.</param>
    public static async Task<BenchHost> StartAsync(Action<WebApplicationBuilder>? configure = null, Action<WebApplication>? map = null)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { Args = ["--urls", "http://127.0.0.1:0"], ContentRootPath = Folder });
        builder.Logging.ClearProviders();
        configure?.Invoke(builder);
        var host = new BenchHost(builder.Build());
        host.Map();
        map?.Invoke(host.app);
        await host.app.StartAsync();
        return host;
    }

    /// <summary>What was served since the last call, as request path → file, but for the bench's own pages.</summary>
    public IReadOnlyDictionary<string, string> TakeServed()
    {
        var taken = new Dictionary<string, string>(served);
        served.Clear();
        return taken;
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();

    private void Map()
    {
        app.Use((context, next) =>
        {
            context.Response.Headers["Cross-Origin-Opener-Policy"] = "same-origin";
            context.Response.Headers["Cross-Origin-Embedder-Policy"] = "require-corp";
            context.Response.Headers.CacheControl = "max-age=3600";
            return next(context);
        });
        MapClient("/datasync", "DataSync.Bench.Client");
        MapClient("/datasync-ef", "DataSync.Bench.EntityFramework");
        MapClient(RemotePage, RemoteClient);
        var npm = new NpmModules(Path.Combine(Folder, "node_modules"));
        app.MapGet("/bench/{**path}", (string? path) => FileIn(Path.Combine(Folder, "wwwroot"), path is null or "" ? "index.html" : path));
        app.MapGet("/npm/{**path}", async (string path, HttpContext context) =>
        {
            if (npm.Find(path) is not { } file) return Results.NotFound();
            served[context.Request.Path] = file;
            return Path.GetExtension(file) is ".js" or ".mjs" ? Results.Text(await npm.ReadModuleAsync(file), "text/javascript") : Send(file);
        });
    }

    /// <summary>One of the apps that were published for the bench.</summary>
    private void MapClient(string path, string name)
    {
        if (Find($"{name}.Published") is not { } published) return; // a build for trying the bench leaves it out
        var client = Path.Combine(published, "wwwroot");
        app.MapGet($"{path}/", async () => Results.Text(
            (await File.ReadAllTextAsync(Path.Combine(Folder, "wwwroot", "datasync.html"))).Replace("{path}", path, StringComparison.Ordinal).Replace("{name}", name, StringComparison.Ordinal), "text/html"));
        app.MapGet($"{path}/_framework/{{file}}", (string file, HttpContext context) =>
        {
            var own = Path.Combine(client, "_framework", file);
            if (OwnAssemblies.Any(assembly => file.StartsWith(assembly, StringComparison.Ordinal))) served[context.Request.Path] = own;
            return FileIn(client, Path.Combine("_framework", file));
        });
        app.MapGet($"{path}/_content/{{**file}}", (string file, HttpContext context) =>
        {
            served[context.Request.Path] = Path.Combine(client, "_content", file);
            return FileIn(client, Path.Combine("_content", file));
        });
    }

    private static IResult FileIn(string folder, string path)
    {
        var file = Path.GetFullPath(Path.Combine(folder, path));
        return file.StartsWith(folder, StringComparison.Ordinal) && File.Exists(file) ? Send(file) : Results.NotFound();
    }

    private static IResult Send(string file) =>
        Results.File(file, ContentTypes.TryGetContentType(file, out var type) ? type : "application/octet-stream");

    private static string Metadata(string key) => Find(key) ?? throw new InvalidOperationException($"The build did not tell {key}.");

    private static string? Find(string key) => typeof(BenchHost).Assembly
        .GetCustomAttributes<AssemblyMetadataAttribute>().SingleOrDefault(attribute => attribute.Key == key)?.Value;
}
