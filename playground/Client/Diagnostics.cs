using Polly;
using System.Runtime.InteropServices.JavaScript;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace DataSync.Playground.Client;

public static partial class Diagnostics
{
    [JSImport("globalThis.Math.max")]
    internal static partial double Max(double a, double b);

    [JSImport("version", "Diagnostics")]
    internal static partial int Version();

    [JSExport]
    internal static string Echo(string text) => "echo " + text;

    public static async Task<string> CheckAsync()
    {
        var max = Max(3, 4);
        await JSHost.ImportAsync("Diagnostics", "../diagnostics.js");
        var types = new[]
        {
            typeof(Microsoft.Data.Sqlite.SqliteConnection), typeof(SQLitePCL.raw), typeof(Polly.ResiliencePipeline), typeof(Dapper.SqlMapper),
            typeof(Microsoft.JSInterop.IJSRuntime), typeof(Microsoft.Extensions.Logging.ILogger), typeof(System.Diagnostics.Metrics.Meter),
        };
        var pipeline = new Polly.ResiliencePipelineBuilder().AddTimeout(TimeSpan.FromSeconds(1)).Build();
        var polly = await pipeline.ExecuteAsync(_ => ValueTask.FromResult(5));
        var text = JsonSerializer.Serialize(new Report(max, Version(), polly, [.. types.Select(type => type.Assembly.GetName().FullName)]), ReportJson.Default.Report);
        return text + new System.Diagnostics.Metrics.Meter("x").CreateCounter<int>("c").Enabled;
    }
}

public sealed record Report(double Max, int Version, int Polly, string[] Assemblies);

[JsonSerializable(typeof(Report))]
public sealed partial class ReportJson : JsonSerializerContext;
