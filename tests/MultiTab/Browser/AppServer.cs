using System.Collections.Concurrent;
using System.Net.WebSockets;
using System.Text;
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
/// A plain static web server for published apps: it knows nothing of .NET. Beside them it takes what a test's script in
/// a page tells the test, where the browser offers no way of its own.
/// </summary>
public sealed partial class AppServer : IAsyncDisposable
{
    /// <summary>Where a page's WebSocket sends what is for <see cref="Told"/>, a text each; the answer comes when it was taken.</summary>
    /// <remarks>Not fetch: in WebKit one waits as long as another tab is stopped that was in the middle of its own.</remarks>
    public const string ToldPath = "/told";

    private static readonly FileExtensionContentTypeProvider ContentTypes = new()
    {
        Mappings = { [".js"] = "text/javascript", [".wasm"] = "application/wasm", [".dat"] = "application/octet-stream" },
    };

    private static readonly (string Ending, string Encoding)[] Encodings = [(".br", "br"), (".gz", "gzip")];

    private readonly WebApplication app;

    private AppServer(WebApplication app)
    {
        this.app = app;
        app.Map(ToldPath, ListenAsync);
    }

    /// <summary>What a page has sent to <see cref="ToldPath"/>, before it gets its answer.</summary>
    public event Action<string>? Told;

    /// <summary>For example http://127.0.0.1:41234, without a slash at the end. Browsers count it as a secure context.</summary>
    public string Url => app.Urls.Single();

    /// <summary>The paths that were asked for, each time anew.</summary>
    public ConcurrentQueue<string> Requests { get; } = [];

    /// <summary>Starts on a free port.</summary>
    public static Task<AppServer> StartAsync(params PublishedApp[] apps) => StartAsync("http://127.0.0.1:0", apps);

    /// <summary>Starts at an address, such as the one of a server that was stopped.</summary>
    public static async Task<AppServer> StartAsync(string url, params PublishedApp[] apps)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(url);
        var app = builder.Build();
        app.UseWebSockets();
        var server = new AppServer(app);
        app.Use(next => context =>
        {
            server.Requests.Enqueue(context.Request.Path);
            return next(context);
        });
        foreach (var published in apps.OrderByDescending(published => published.Path.Length))
        {
            if (!Directory.Exists(published.Folder)) throw new DirectoryNotFoundException($"'{published.Folder}' is missing: build the tests, which publish what they open.");
            var files = new PhysicalFileProvider(published.Folder);
            app.Use(next => context =>
            {
                ChooseCompressed(context.Request, published, files);
                return next(context);
            });
            app.UseDefaultFiles(new DefaultFilesOptions { FileProvider = files, RequestPath = published.Path });
            app.UseStaticFiles(new StaticFileOptions
            {
                FileProvider = files,
                RequestPath = published.Path,
                ContentTypeProvider = ContentTypes,
                ServeUnknownFileTypes = true,
                OnPrepareResponse = context => Describe(context.Context.Response, context.File.Name),
            });
        }

        await app.StartAsync();
        return server;
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();

    private async Task ListenAsync(HttpContext context)
    {
        using var socket = await context.WebSockets.AcceptWebSocketAsync();
        var buffer = new byte[1 << 16];
        try
        {
            while (true)
            {
                var received = await socket.ReceiveAsync(buffer, app.Lifetime.ApplicationStopping);
                if (received.MessageType == WebSocketMessageType.Close) return;
                if (!received.EndOfMessage) throw new InvalidOperationException("A page has sent more than the test expects.");
                Told?.Invoke(Encoding.UTF8.GetString(buffer, 0, received.Count));
                await socket.SendAsync(ReadOnlyMemory<byte>.Empty, WebSocketMessageType.Text, endOfMessage: true, app.Lifetime.ApplicationStopping);
            }
        }
        catch (Exception error) when (error is WebSocketException or OperationCanceledException)
        {
            // The page is gone, or the server goes.
        }
    }

    /// <summary>Where only a compressed file is there, as on hosts that keep no others, it is the one that is sent.</summary>
    private static void ChooseCompressed(HttpRequest request, PublishedApp published, PhysicalFileProvider files)
    {
        if (!request.Path.StartsWithSegments(published.Path, out var rest)) return;
        var name = rest.Value is "" or "/" ? "/index.html" : rest.Value!;
        if (files.GetFileInfo(name).Exists) return;
        var accepted = request.Headers.AcceptEncoding.ToString();
        foreach (var (ending, encoding) in Encodings)
        {
            if (!accepted.Contains(encoding, StringComparison.Ordinal) || !files.GetFileInfo(name + ending).Exists) continue;
            request.Path = published.Path + name + ending;
            return;
        }
    }

    private static void Describe(HttpResponse response, string file)
    {
        foreach (var (ending, encoding) in Encodings)
        {
            if (!file.EndsWith(ending, StringComparison.Ordinal)) continue;
            file = file[..^ending.Length];
            response.Headers.ContentEncoding = encoding;
            response.ContentType = ContentTypes.TryGetContentType(file, out var type) ? type : "application/octet-stream";
        }

        response.Headers.CacheControl = Fingerprint().IsMatch(file) ? "public, max-age=31536000, immutable" : "no-cache";
    }

    /// <summary>Ten letters before the ending name the content: it never changes under its name.</summary>
    [GeneratedRegex(@"\.[a-z0-9]{10}\.[a-z]+$")]
    private static partial Regex Fingerprint();
}
