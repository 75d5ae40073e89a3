using DataSync.TodoEf;
using Microsoft.AspNetCore.Components.WebAssembly.Hosting;
using Microsoft.Extensions.DependencyInjection;

var builder = WebAssemblyHostBuilder.CreateDefault(args);
builder.Services.AddDataSync(o => o.Database("todo.db"));
builder.Services.AddDataSyncDbContextFactory<TodoContext>();
builder.RootComponents.Add<App>("#app");
await builder.Build().RunAsync();
