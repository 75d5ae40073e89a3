using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.StaticFiles;
using Microsoft.Extensions.FileProviders;
using Microsoft.Extensions.Logging;

namespace DataSync.MultiTab.Browser;

/// <summary>A published app and where it is served: "" for the root, else for example "/lab".</summary>
public sealed record PublishedApp(string Path, string Folder);

/// <summary>
/// A plain static web server for published apps, on a free port: it knows nothing of .NET. Beside them it takes what a test's script in
/// a page tells the test, where the browser offers no way of its own.
/// </summary>
public sealed partial class AppServer : IAsyncDisposable
{
    /// <summary>Where pages post what is for <see cref="Told"/>.</summary>
    public const string ToldPath = "/told";

    private static readonly FileExtensionContentTypeProvider ContentTypes = new()
    {
        Mappings = { [".js"] = "text/javascript", [".wasm"] = "application/wasm", [".dat"] = "application/octet-stream" },
    };

    private readonly WebApplication app;

    private AppServer(WebApplication app)
    {
        this.app = app;
        app.MapPost(ToldPath, async (HttpRequest request) =>
        {
            using var reader = new StreamReader(request.Body);
            Told?.Invoke(await reader.ReadToEndAsync());
        });
    }

    /// <summary>What a page has posted to <see cref="ToldPath"/>, before it gets its answer.</summary>
    public event Action<string>? Told;

    /// <summary>For example http://127.0.0.1:41234, without a slash at the end. Browsers count it as a secure context.</summary>
    public string Url => app.Urls.Single();

    public static async Task<AppServer> StartAsync(params PublishedApp[] apps)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        var app = builder.Build();
        foreach (var published in apps.OrderByDescending(published => published.Path.Length))
        {
            if (!Directory.Exists(published.Folder)) throw new DirectoryNotFoundException($"'{published.Folder}' is missing: build the tests, which publish what they open.");
            var files = new PhysicalFileProvider(published.Folder);
            app.UseDefaultFiles(new DefaultFilesOptions { FileProvider = files, RequestPath = published.Path });
            app.UseStaticFiles(new StaticFileOptions
            {
                FileProvider = files,
                RequestPath = published.Path,
                ContentTypeProvider = ContentTypes,
                OnPrepareResponse = context => context.Context.Response.Headers.CacheControl =
                    Fingerprint().IsMatch(context.File.Name) ? "public, max-age=31536000, immutable" : "no-cache",
            });
        }

        var server = new AppServer(app);
        await app.StartAsync();
        return server;
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();

    /// <summary>Ten letters before the ending name the content: it never changes under its name.</summary>
    [GeneratedRegex(@"\.[a-z0-9]{10}\.[a-z]+$")]
    private static partial Regex Fingerprint();
}
