using System.Text;
using System.Text.Json;
using DataSync.Vfs;

namespace DataSync.Playground;

/// <summary>
/// Parameters and results as JSON, for datasync.js. What JSON cannot say is an object with one member: <c>$int</c> (a whole
/// number beyond 2^53, as text), <c>$real</c> (an infinity, as text), <c>$blob</c> (base64).
/// </summary>
internal static class SqlJson
{
    private const long MaxSafeInteger = (1L << 53) - 1;

    public static string Write(Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            write(writer);
        }

        return Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
    }

    /// <summary>Writes <c>"columns": […], "rows": [[…], …]</c> into the open object.</summary>
    public static void WriteResult(Utf8JsonWriter writer, QueryResult result)
    {
        writer.WriteStartArray("columns");
        foreach (var column in result.Columns)
        {
            writer.WriteStringValue(column);
        }

        writer.WriteEndArray();
        writer.WriteStartArray("rows");
        foreach (var row in result.Rows)
        {
            writer.WriteStartArray();
            foreach (var value in row)
            {
                WriteValue(writer, value);
            }

            writer.WriteEndArray();
        }

        writer.WriteEndArray();
    }

    /// <summary>Reads one parameter's value.</summary>
    /// <exception cref="FormatException">It is not a value that SQLite has.</exception>
    public static object? ReadValue(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Null or JsonValueKind.Undefined => null,
        JsonValueKind.String => value.GetString(),
        JsonValueKind.True => 1L,
        JsonValueKind.False => 0L,
        JsonValueKind.Number => value.TryGetInt64(out var whole) ? (object)whole : value.GetDouble(),
        JsonValueKind.Object when value.TryGetProperty("$int", out var whole) => long.Parse(whole.GetString()!, provider: null),
        JsonValueKind.Object when value.TryGetProperty("$real", out var real) => double.Parse(real.GetString()!, System.Globalization.CultureInfo.InvariantCulture),
        JsonValueKind.Object when value.TryGetProperty("$blob", out var blob) => blob.GetBytesFromBase64(),
        _ => throw new FormatException("A parameter must be null, a boolean, a number, a bigint, a string or bytes."),
    };

    /// <summary>Writes a value that SQLite has.</summary>
    public static void WriteValue(Utf8JsonWriter writer, object? value)
    {
        switch (value)
        {
            case null or DBNull: writer.WriteNullValue(); break;
            case string text: writer.WriteStringValue(text); break;
            case long whole and >= -MaxSafeInteger and <= MaxSafeInteger: writer.WriteNumberValue(whole); break;
            case long whole: WriteTagged(writer, "$int", whole.ToString(provider: null)); break;
            case double real when double.IsFinite(real): writer.WriteNumberValue(real); break;
            case double real: WriteTagged(writer, "$real", real > 0 ? "Infinity" : "-Infinity"); break;
            case byte[] blob: WriteTagged(writer, "$blob", Convert.ToBase64String(blob)); break;
            default: writer.WriteStringValue(Convert.ToString(value, System.Globalization.CultureInfo.InvariantCulture)); break;
        }
    }

    private static void WriteTagged(Utf8JsonWriter writer, string tag, string text)
    {
        writer.WriteStartObject();
        writer.WriteString(tag, text);
        writer.WriteEndObject();
    }
}
