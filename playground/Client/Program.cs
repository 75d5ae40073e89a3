using DataSync.Playground.Client;
using DataSync.Storage;
using Microsoft.AspNetCore.Components.Web;
using Microsoft.AspNetCore.Components.WebAssembly.Hosting;
using Microsoft.Extensions.DependencyInjection;

var builder = WebAssemblyHostBuilder.CreateDefault(args);
await Page.ImportAsync();
builder.Services.AddSingleton(PageOptions.FromQuery(Page.Query));
builder.Services.AddDataSync(o => o.Durability = PageOptions.FromQuery(Page.Query).IsStrict ? StorageDurability.Strict : StorageDurability.Relaxed);
builder.Services.AddScoped<Session>();
builder.RootComponents.Add<App>("#app");
builder.RootComponents.Add<HeadOutlet>("head::after");
await builder.Build().RunAsync();
