using DataSync.Bench.Client;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.AspNetCore.Components.WebAssembly.Hosting;
using Microsoft.Extensions.DependencyInjection;

// Nothing runs by itself: the page's script calls the steps.
await Steps.LoadAsync();
var builder = WebAssemblyHostBuilder.CreateDefault(args);
builder.Services.AddDataSync(options =>
    options.StorageDurability = Steps.Query.Contains("strict", StringComparison.Ordinal) ? StorageDurability.Strict : StorageDurability.Relaxed);
var host = builder.Build();

// As with the other libraries, SQLite's WebAssembly is there before a database is opened.
await SqliteWasm.InitializeAsync();
Steps.Databases.SetResult(host.Services.GetRequiredService<DataSyncFactory>());
await host.RunAsync();
