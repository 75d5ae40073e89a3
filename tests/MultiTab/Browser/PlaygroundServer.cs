using System.Reflection;
using DataSync.Playground;
using Microsoft.AspNetCore.Builder;

namespace DataSync.MultiTab.Browser;

/// <summary>The playground's host with the lab beside it, inside the test process on a free port.</summary>
public sealed class PlaygroundServer : IAsyncDisposable
{
    private readonly WebApplication app;

    private PlaygroundServer(WebApplication app) => this.app = app;

    /// <summary>For example http://127.0.0.1:41234, without a slash at the end. Browsers count it as a secure context.</summary>
    public string Url => app.Urls.Single();

    public static async Task<PlaygroundServer> StartAsync()
    {
        var lab = new BrowserClient("/lab", "DataSync.Lab", Metadata("DataSync.LabOutput"), Path.Combine(Metadata("DataSync.Lab"), "wwwroot"));
        var app = PlaygroundHost.Create(["--urls", "http://127.0.0.1:0"], lab);
        await app.StartAsync();
        return new PlaygroundServer(app);
    }

    public ValueTask DisposeAsync() => app.DisposeAsync();

    private static string Metadata(string key) => typeof(PlaygroundServer).Assembly
        .GetCustomAttributes<AssemblyMetadataAttribute>().Single(attribute => attribute.Key == key).Value!;
}
