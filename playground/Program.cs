using DataSync.Playground;

await using var app = PlaygroundHost.Create(args);
await app.StartAsync();
foreach (var url in app.Urls)
{
    Console.WriteLine($"DataSync playground: {url}  (Ctrl+C stops it)");
}

await app.WaitForShutdownAsync();
