using System.Diagnostics.CodeAnalysis;
using System.Text;
using System.Text.Json;

namespace DataSync.Coordination;

internal enum TabMessageKind
{
    /// <summary>A tab joined or came back: list the tabs anew.</summary>
    Hello,

    /// <summary>A tab is leaving; posted by the page itself.</summary>
    Farewell,

    /// <summary>A tab leads: read the record.</summary>
    Leading,

    /// <summary>A tab asks the leader, <see cref="TabMessage.To"/>, to hand over.</summary>
    Request,
}

/// <summary>A hint between tabs. It makes the receiver look at the record sooner; it proves nothing.</summary>
internal readonly record struct TabMessage(TabMessageKind Kind, string Scope, Epoch Epoch, TabId Sender, TabId? To = null)
{
    public const int Version = 1;
    public const int MaxLength = 2048;

    private static readonly string[] Kinds = ["hello", "farewell", "leading", "request"];

    public string ToText()
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
        {
            writer.WriteStartObject();
            writer.WriteNumber("v", Version);
            writer.WriteString("kind", Kinds[(int)Kind]);
            writer.WriteString("scope", Scope);
            writer.WriteNumber("epoch", Epoch.Value);
            writer.WriteString("sender", Sender.Value);
            if (To is { } to)
                writer.WriteString("to", to.Value);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    /// <summary>Reads a message of this version and scope; anything else is not one.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, string scope, out TabMessage message)
    {
        message = default;
        if (text is null || text.Length > MaxLength)
            return false;
        try
        {
            using var document = JsonDocument.Parse(text);
            var root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("v", out var v) || v.ValueKind != JsonValueKind.Number
                || !v.TryGetInt32(out var version) || version != Version || Text(root, "scope") != scope)
                return false;
            var kind = Array.IndexOf(Kinds, Text(root, "kind"));
            if (kind < 0 || !TabId.TryParse(Text(root, "sender"), out var sender)
                || !root.TryGetProperty("epoch", out var e) || e.ValueKind != JsonValueKind.Number || !e.TryGetInt64(out var epoch))
                return false;
            TabId? to = TabId.TryParse(Text(root, "to"), out var id) ? id : null;
            message = new TabMessage((TabMessageKind)kind, scope, new Epoch(epoch), sender, to);
            return true;
        }
        catch (JsonException)
        {
            return false;
        }
    }

    private static string? Text(JsonElement root, string name) =>
        root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
