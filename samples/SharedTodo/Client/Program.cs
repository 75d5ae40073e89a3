using DataSync.SharedTodo.Client;
using DataSync.Storage;
using Microsoft.AspNetCore.Components.WebAssembly.Hosting;
using Microsoft.Extensions.DependencyInjection;

var builder = WebAssemblyHostBuilder.CreateDefault(args);
var home = new Uri(builder.HostEnvironment.BaseAddress);
builder.Services.AddScoped(_ => new HttpClient { BaseAddress = home });
var signedIn = new SignedIn();
builder.Services.AddSingleton(signedIn);
builder.Services.AddDataSyncRemote(new Uri(home, "datasync"), o => o.Database("todo.db").Durability = Durability.Deferred, remote => remote.UserKey = () => signedIn.Name);
builder.RootComponents.Add<App>("#app");
await builder.Build().RunAsync();
