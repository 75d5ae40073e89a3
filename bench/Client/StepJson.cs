using System.Text.Json;
using System.Text.Json.Serialization;

namespace DataSync.Bench.Client;

/// <summary>What a step is asked for; each step uses some of it.</summary>
internal sealed record StepOptions(
    string Database = "", int Count = 0, int Warm = 0, int Samples = 1, int Rows = 0, int ManyRows = 0, int Chunk = 0, long FirstId = 0,
    [property: JsonPropertyName("limit_ms")] double Limit_ms = 0, [property: JsonPropertyName("start_ms")] double Start_ms = 0, string Metric = "", string Observe = "",
    int Own = 0, int Others = 0, int Bytes = 0, [property: JsonPropertyName("pause_ms")] double Pause_ms = 0);

/// <summary>What a step gives: metric → samples.</summary>
internal sealed record StepResult(Dictionary<string, IReadOnlyList<double>> Series, string? Note = null);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(StepOptions))]
[JsonSerializable(typeof(StepResult))]
[JsonSerializable(typeof(double[]))]
[JsonSerializable(typeof(List<double>))]
internal sealed partial class StepJson : JsonSerializerContext;
