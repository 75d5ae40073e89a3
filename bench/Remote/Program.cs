using DataSync.Bench.Client;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.AspNetCore.Components.WebAssembly.Hosting;
using Microsoft.Extensions.DependencyInjection;

// Nothing runs by itself: the page's script calls the steps, which are those of the other page, on a server's databases.
await Steps.LoadAsync();
var builder = WebAssemblyHostBuilder.CreateDefault(args);
var home = new Uri(builder.HostEnvironment.BaseAddress);
builder.Services.AddDataSyncRemote(
    new Uri(home, "/served"), options => options.Durability = Steps.Query.Contains("deferred", StringComparison.Ordinal) ? Durability.Deferred : Durability.Immediate);
var host = builder.Build();
await SqliteWasm.InitializeAsync();
await RoundTrips.LoadAsync(new Uri(home, "/echo"));
Steps.Other = RoundTrips.RunAsync;
Steps.Databases.SetResult(host.Services.GetRequiredService<DataSyncFactory>());
await host.RunAsync();
