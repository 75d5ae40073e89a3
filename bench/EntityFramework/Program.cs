using DataSync.Bench.Client;
using DataSync.Vfs;
using Microsoft.AspNetCore.Components.WebAssembly.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

// Nothing runs by itself: the page's script calls the steps.
var builder = WebAssemblyHostBuilder.CreateDefault(args);
builder.Logging.AddFilter("Microsoft.EntityFrameworkCore", LogLevel.Warning); // else each command's text goes to the console
builder.Services.AddDataSync(options => options.StorageDurability = DataSync.Storage.StorageDurability.Relaxed);
builder.Services.AddPooledDataSyncDbContextFactory<RowContext>(Steps.Database);
var host = builder.Build();
await SqliteWasm.InitializeAsync();
Steps.Services.SetResult(host.Services);
await host.RunAsync();
