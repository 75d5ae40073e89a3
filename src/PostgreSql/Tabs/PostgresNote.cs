using System.Globalization;
using DataSync.Coordination;

namespace DataSync.PostgreSql;

/// <summary>What a notification says; the first character of its text.</summary>
internal enum PostgresNoteKind
{
    /// <summary>The database was deleted; its row's number follows.</summary>
    Deleted = 'd',

    /// <summary>The lease's record was changed.</summary>
    Lease = 'l',

    /// <summary>A message of the coordination follows.</summary>
    Coordination = 'c',

    /// <summary>A message among the tabs follows, in base 64.</summary>
    Message = 'm',

    /// <summary>The number of a row in messages follows, which holds one.</summary>
    Reference = 'r',
}

/// <summary>A notification: a kind, who sent it, and what follows. Whoever may notify here may write anything, so nothing is believed.</summary>
internal readonly record struct PostgresNote(PostgresNoteKind Kind, TabId Sender, string Body)
{
    /// <summary>PostgreSQL takes below 8000 bytes.</summary>
    public const int MaxBody = 7999 - PrefixLength;

    private const int PrefixLength = 33;

    public static string Prefix(PostgresNoteKind kind, TabId sender) => $"{(char)kind}{sender.ToGuid():N}";

    public static PostgresNote? TryParse(string payload)
    {
        if (payload.Length < PrefixLength || !Enum.IsDefined((PostgresNoteKind)payload[0]) || !Guid.TryParseExact(payload.AsSpan(1, 32), "N", out var sender)) return null;
        return new((PostgresNoteKind)payload[0], TabId.FromGuid(sender), payload[PrefixLength..]);
    }

    public bool TryReadNumber(out long number) => long.TryParse(Body, NumberStyles.None, CultureInfo.InvariantCulture, out number);
}
