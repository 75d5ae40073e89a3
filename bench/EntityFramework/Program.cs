using DataSync.Bench.Client;
using DataSync.Vfs;
using Microsoft.AspNetCore.Components.WebAssembly.Hosting;
using Microsoft.Extensions.DependencyInjection;

// Nothing runs by itself: the page's script calls the steps.
var builder = WebAssemblyHostBuilder.CreateDefault(args);
builder.Services.AddDataSync(options => options.StorageDurability = DataSync.Storage.StorageDurability.Relaxed);
var host = builder.Build();
await SqliteWasm.InitializeAsync();
Steps.Databases.SetResult(host.Services.GetRequiredService<DataSyncFactory>());
await host.RunAsync();
