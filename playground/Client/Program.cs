using DataSync.Playground.Client;
using Microsoft.AspNetCore.Components.Web;
using Microsoft.AspNetCore.Components.WebAssembly.Hosting;
using Microsoft.Extensions.DependencyInjection;

var builder = WebAssemblyHostBuilder.CreateDefault(args);
await Page.ImportAsync();
builder.Services.AddSingleton(PageOptions.FromQuery(Page.Query));
builder.Services.AddSingleton<Session>();
builder.Services.AddSingleton(TimeProvider.System);
builder.RootComponents.Add<App>("#app");
builder.RootComponents.Add<HeadOutlet>("head::after");
await builder.Build().RunAsync();
