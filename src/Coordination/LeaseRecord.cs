using System.Text;
using System.Text.Json;

namespace DataSync.Coordination;

/// <summary>What a text found in the place of the lease record turned out to be.</summary>
internal enum LeaseReading
{
    /// <summary>There is no record.</summary>
    Missing,

    /// <summary>The text is no lease record: treated like a missing one.</summary>
    Garbage,

    /// <summary>Written by a newer version of this library: respected while it changes, never read in detail.</summary>
    Newer,

    /// <summary>A record of this version.</summary>
    Valid,
}

/// <summary>The lease as it stands in localStorage: a hint about who leads, never the authority.</summary>
/// <param name="Holder">The tab that holds the lease; null after a release.</param>
/// <param name="Epoch">The epoch of the lease; kept when it is released.</param>
/// <param name="Renewal">Rises with each write of the holder, so that observers see a change.</param>
/// <param name="Leading">Whether the store granted the epoch; false while the holder is still taking over.</param>
/// <param name="Successor">In a released record: the tab that should lead next.</param>
/// <param name="Patience">How often the lease time is doubled, because this machine was too slow for it; at most <see cref="MaxPatience"/>.</param>
internal readonly record struct LeaseRecord(
    TabId? Holder, Epoch Epoch, long Renewal, bool Leading = false, TabId? Successor = null, int Patience = 0)
{
    /// <summary>The most doublings of the lease time: 5 s become 160 s.</summary>
    public const int MaxPatience = 5;

    /// <summary>The version of the text form that this library writes.</summary>
    public const int Version = 1;

    // Five times what this version writes: room for later ones, and nothing for what is no record.
    private const int MaxLength = 1024;

    /// <summary>The same lease without a holder; the epoch stays.</summary>
    public LeaseRecord Released(TabId? successor = null) => new(null, Sabotage.IsMissing(Guard.EpochOnRelease) ? default : Epoch, Renewal + 1, false, successor, Patience);

    /// <summary>Writes the record as one line of JSON.</summary>
    public string ToText()
    {
        using var stream = new MemoryStream();
        using (var writer = new Utf8JsonWriter(stream))
        {
            writer.WriteStartObject();
            writer.WriteNumber("v", Version);
            writer.WriteNumber("epoch", Epoch.Value);
            writer.WriteNumber("renewal", Renewal);
            if (Holder is { } holder)
                writer.WriteString("holder", holder.Value);
            if (Leading)
                writer.WriteBoolean("leading", true);
            if (Successor is { } successor)
                writer.WriteString("successor", successor.Value);
            if (Patience > 0)
                writer.WriteNumber("patience", Patience);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    /// <summary>Reads a text without ever throwing; <paramref name="record"/> is filled as far as it could be read.</summary>
    public static LeaseReading Read(string? text, out LeaseRecord record)
    {
        record = default;
        if (text is null)
            return LeaseReading.Missing;
        if (text.Length > MaxLength)
            return LeaseReading.Garbage;
        try
        {
            using var document = JsonDocument.Parse(text);
            return Read(document.RootElement, out record);
        }
        catch (JsonException)
        {
            return LeaseReading.Garbage;
        }
    }

    private static LeaseReading Read(JsonElement root, out LeaseRecord record)
    {
        record = default;
        if (root.ValueKind != JsonValueKind.Object || Number(root, "v") is not (>= 1 and var version))
            return LeaseReading.Garbage;
        var epoch = Number(root, "epoch");
        var renewal = Number(root, "renewal");
        var readable = Tab(root, "holder", out var holder) & Tab(root, "successor", out var successor)
            && epoch is >= 0 and <= Epoch.MaxValue && renewal is >= 0 and < long.MaxValue;
        if (readable)
        {
            var leading = root.TryGetProperty("leading", out var flag) && flag.ValueKind == JsonValueKind.True;
            record = new LeaseRecord(holder, new Epoch(epoch!.Value), renewal!.Value, leading && holder is not null, successor,
                (int)Math.Clamp(Number(root, "patience") ?? 0, 0, MaxPatience));
        }

        return version > Version ? LeaseReading.Newer : readable ? LeaseReading.Valid : LeaseReading.Garbage;
    }

    private static long? Number(JsonElement root, string name) =>
        root.TryGetProperty(name, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number)
            ? number
            : null;

    private static bool Tab(JsonElement root, string name, out TabId? tab)
    {
        tab = null;
        if (!root.TryGetProperty(name, out var value))
            return true;
        if (value.ValueKind != JsonValueKind.String || !TabId.TryParse(value.GetString(), out var id))
            return false;
        tab = id;
        return true;
    }
}
