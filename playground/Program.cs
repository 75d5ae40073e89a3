using DataSync.Playground;
using DataSync.Storage;
using Microsoft.AspNetCore.Components.Web;
using Microsoft.AspNetCore.Components.WebAssembly.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

var builder = WebAssemblyHostBuilder.CreateDefault(args);
await Page.ImportAsync();
var options = PageOptions.FromQuery(Page.Query);
var opening = new OpeningProgress();
builder.Services.AddSingleton(options);
builder.Services.AddSingleton(opening);
builder.Services.AddScoped<Session>();
var logger = new PageLogger(TimeProvider.System);
builder.Services.AddSingleton(logger);
builder.Logging.AddProvider(logger);
builder.Services.AddDataSync(dataSync =>
{
    dataSync.Database(options.Database);
    dataSync.StorageDurability = options.IsStrict ? StorageDurability.Strict : StorageDurability.Relaxed;
    dataSync.Durability = options.IsDeferred ? Durability.Deferred : Durability.Immediate;
    if (options.HoldSeconds is { } hold) dataSync.AutoSync.Interval = dataSync.AutoSync.Debounce = TimeSpan.FromSeconds(hold);
    if (options.IntervalSeconds is { } interval) dataSync.AutoSync.Interval = TimeSpan.FromSeconds(interval);
    if (options.WriteTimeoutSeconds is { } timeout) dataSync.Pipeline.WriteTimeout = TimeSpan.FromSeconds(timeout);
    dataSync.Recovery = new RecoveryOptions(Action: options.IsRepair ? CorruptionAction.Repair : CorruptionAction.Fail, Progress: opening);
});
builder.RootComponents.Add<App>("#app");
builder.RootComponents.Add<HeadOutlet>("head::after");
await builder.Build().RunAsync();
