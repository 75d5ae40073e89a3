using System.Globalization;
using System.Text;
using System.Text.Json;
using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>
/// The head as text: one line of JSON that ends in a checksum of what is before it, the same in every store. A store keeps it
/// twice, apart, with equal contents: it alone says which epoch was granted, and where the log starts. The copy is written first, so it is
/// never behind, and an epoch that it holds too early was granted to nobody.
/// </summary>
internal static class HeadCodec
{
    private const string CheckName = ",\"check\":\"";
    private const int CheckLength = 10 + 16 + 2; // ,"check":" + 16 digits + "}
    private const int IdLength = 32;

    public static byte[] Encode(Head head)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartObject();
            json.WriteNumber("format", head.Format);
            json.WriteString("incarnation", head.Incarnation);
            json.WriteNumber("epoch", head.Epoch.Value);
            json.WriteString("holder", head.Holder?.Value);
            json.WriteNumber("marker", head.Checkpoint.Marker);
            json.WriteString("commit", head.Checkpoint.Commit.ToString());
            json.WriteNumber("fileSize", head.FileSize);
            json.WriteNumber("checksum", (int)head.Checksum);
            json.WriteString("recentCommits", string.Concat(head.RecentCommits));
            json.WriteStartObject("recentWriters");
            foreach (var (writer, last) in head.RecentWriters) json.WriteString(writer.Value, $"{last.Commit}{last.Marker}");
            json.WriteEndObject();
            json.WriteStartObject("recentResults");
            foreach (var (commit, result) in head.RecentResults)
                json.WriteString(commit.ToString(), string.Create(CultureInfo.InvariantCulture, $"{result.Changes} {result.LastInsertRowId}"));
            json.WriteEndObject();
            json.WriteEndObject();
        }

        var text = stream.ToArray().AsSpan();
        return [.. text[..^1], .. Encoding.ASCII.GetBytes($"{CheckName}{Hash(text[..^1]):x16}\"}}")];
    }

    /// <summary>
    /// The head from its record, or, where that is damaged or missing, from the copy; then <see cref="Head.Damage"/> says so.
    /// Null where there is neither.
    /// </summary>
    /// <exception cref="StoreFormatException">A newer version of DataSync wrote it.</exception>
    /// <exception cref="CorruptStoreException">Neither can be read.</exception>
    public static Head? Read(byte[]? record, Func<byte[]?> readCopy)
    {
        if (record is null) return readCopy() is { } only ? Decode(only) with { Damage = "it is missing" } : null;
        try
        {
            return Decode(record);
        }
        catch (StorageException error) when (!CheckHolds(record) && readCopy() is { } copy)
        {
            // Also one that names a newer format: with a checksum that fails it may be a damaged digit, and the copy knows.
            try
            {
                return Decode(copy) with { Damage = "it fails its checksum" };
            }
            catch (CorruptStoreException)
            {
                throw error;
            }
        }
    }

    /// <exception cref="StoreFormatException">A newer version of DataSync wrote it.</exception>
    /// <exception cref="CorruptStoreException">It is no head, or fails its checksum.</exception>
    public static Head Decode(ReadOnlyMemory<byte> text)
    {
        try
        {
            using var document = JsonDocument.Parse(text);
            var json = document.RootElement;
            var format = json.GetProperty("format").GetInt32();
            if (format > Head.CurrentFormat) throw new StoreFormatException(format);
            if (!CheckHolds(text.Span)) throw Corrupt("it fails its checksum");
            var recent = json.GetProperty("recentCommits").GetString()!;
            return new Head
            {
                Format = format,
                Incarnation = json.GetProperty("incarnation").GetGuid(),
                Epoch = new Epoch(json.GetProperty("epoch").GetInt64()),
                Holder = TabId.TryParse(json.GetProperty("holder").GetString(), out var holder) ? holder : null,
                Checkpoint = new Position(json.GetProperty("marker").GetInt64(), ToId(json.GetProperty("commit").GetString())),
                FileSize = json.GetProperty("fileSize").GetInt64(),
                Checksum = (ChecksumKind)json.GetProperty("checksum").GetInt32(),
                RecentWriters = [.. json.GetProperty("recentWriters").EnumerateObject().Select(ToWriter)],
                RecentCommits = ToIds(recent),
                RecentResults = json.TryGetProperty("recentResults", out var results) ? results.EnumerateObject().ToDictionary(r => ToId(r.Name), ToResult) : [],
            };
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw Corrupt("it cannot be read");
        }
    }

    /// <summary>What a store without a head, but with other records, throws: creating a new head would bury them.</summary>
    public static CorruptStoreException Missing() => Corrupt("it is missing although the store holds data");

    private static CorruptStoreException Corrupt(string what) => new(null,
        $"The store's head is damaged ({what}), and its copy as well, so nothing was opened or changed. Delete the database, and restore it from an export.");

    private static bool CheckHolds(ReadOnlySpan<byte> text)
    {
        if (text.Length <= CheckLength) return false;
        var check = Encoding.ASCII.GetString(text[^CheckLength..]);
        return check == $"{CheckName}{Hash(text[..^CheckLength]):x16}\"}}";
    }

    private static ulong Hash(ReadOnlySpan<byte> text) => Checksum.Compute(ChecksumKind.FastHash, text);

    private static WriterCommit ToWriter(JsonProperty entry)
    {
        var text = entry.Value.GetString() ?? "";
        if (text.Length <= IdLength) throw new FormatException("A writer's commit is cut short.");
        return new(TabId.Parse(entry.Name), new(long.Parse(text.AsSpan(IdLength), CultureInfo.InvariantCulture), ToId(text.AsSpan(0, IdLength))));
    }

    private static StatementResult ToResult(JsonProperty entry)
    {
        var text = entry.Value.GetString()!.AsSpan();
        var space = text.IndexOf(' ');
        if (space < 0) throw new FormatException("A statement's result is cut short.");
        long? row = space + 1 < text.Length ? long.Parse(text[(space + 1)..], CultureInfo.InvariantCulture) : null;
        return new(int.Parse(text[..space], CultureInfo.InvariantCulture), row);
    }

    private static CommitId[] ToIds(ReadOnlySpan<char> text)
    {
        var ids = new CommitId[(text.Length + IdLength - 1) / IdLength];
        for (var i = 0; i < ids.Length; i++) ids[i] = ToId(text.Slice(i * IdLength, Math.Min(IdLength, text.Length - i * IdLength)));
        return ids;
    }

    private static CommitId ToId(ReadOnlySpan<char> text) => new(Guid.ParseExact(text, "N"));
}
