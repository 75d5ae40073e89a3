using DataSync.Lab;
using DataSync.Vfs;
using Microsoft.AspNetCore.Components.WebAssembly.Hosting;
using Microsoft.Extensions.DependencyInjection;

// Nothing runs by itself: the page's script calls the exports of Lab and Transactions.
var builder = WebAssemblyHostBuilder.CreateDefault(args);
builder.Services.AddDataSync();
var host = builder.Build();
Transactions.Databases.SetResult(host.Services.GetRequiredService<DataSyncFactory>());
await host.RunAsync();
