using System.Text.Encodings.Web;
using System.Text.Json;

namespace DataSync.MultiTab;

/// <summary>JSON of a page and JSON of .NET in one spelling: JavaScript writes 2.0 as 2, and escapes less.</summary>
internal static class PageJson
{
    private static readonly JsonSerializerOptions Plain = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static string Normalize(string json)
    {
        using var document = JsonDocument.Parse(json);
        return JsonSerializer.Serialize(Of(document.RootElement), Plain);
    }

    private static object? Of(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array => value.EnumerateArray().Select(Of).ToArray(),
        JsonValueKind.Number => value.GetDouble(),
        JsonValueKind.String => value.GetString(),
        _ => null,
    };
}
