using DataSync.Lab;
using DataSync.Vfs;
using Microsoft.AspNetCore.Components.WebAssembly.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.JSInterop;

// Nothing runs by itself: the page's script calls the exports of Lab and Transactions.
var builder = WebAssemblyHostBuilder.CreateDefault(args);
builder.Services.AddDataSync();
var host = builder.Build();
LabPage.Runtime.SetResult(host.Services.GetRequiredService<IJSRuntime>());
Transactions.Databases.SetResult(host.Services.GetRequiredService<DataSyncFactory>());
await host.RunAsync();
