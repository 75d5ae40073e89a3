using System.Diagnostics.CodeAnalysis;

namespace DataSync.Coordination;

/// <summary>Names one running instance of the app (one tab). The text is a UUIDv7, so ids order by the time the tab started.</summary>
public readonly record struct TabId : IComparable<TabId>
{
    private readonly Guid _value;

    private TabId(Guid value) => _value = value;

    /// <summary>The id as 36 lower-case characters; empty for <c>default</c>, which names no tab.</summary>
    public string Value => _value == Guid.Empty ? string.Empty : _value.ToString("D");

    /// <summary>Makes a new id from the provider's time and random bits.</summary>
    /// <exception cref="ArgumentNullException"><paramref name="timeProvider"/> is null.</exception>
    public static TabId New(TimeProvider timeProvider)
    {
        ArgumentNullException.ThrowIfNull(timeProvider);
        return new TabId(Guid.CreateVersion7(timeProvider.GetUtcNow()));
    }

    /// <summary>The id of a UUID; <c>default</c> for the empty one.</summary>
    public static TabId FromGuid(Guid value) => new(value);

    /// <summary>Reads an id from its text form.</summary>
    /// <exception cref="FormatException"><paramref name="text"/> is not a UUID of 36 characters.</exception>
    public static TabId Parse(string text) =>
        TryParse(text, out var id) ? id : throw new FormatException("A tab id is a UUID written as 36 characters.");

    /// <summary>Reads an id from its text form; upper case is folded so that equal ids are equal text.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out TabId id)
    {
        id = default;
        if (!Guid.TryParseExact(text, "D", out var guid) || guid == Guid.Empty)
            return false;
        id = new TabId(guid);
        return true;
    }

    /// <summary>The id as a UUID; empty for <c>default</c>.</summary>
    public Guid ToGuid() => _value;

    /// <summary>Compares as the texts compare, which is the order of start times.</summary>
    public int CompareTo(TabId other) => _value.CompareTo(other._value);

    /// <inheritdoc />
    public override string ToString() => Value;

    /// <summary>Whether <paramref name="left"/> started before <paramref name="right"/>.</summary>
    public static bool operator <(TabId left, TabId right) => left.CompareTo(right) < 0;

    /// <summary>Whether <paramref name="left"/> started after <paramref name="right"/>.</summary>
    public static bool operator >(TabId left, TabId right) => left.CompareTo(right) > 0;

    /// <summary>Whether <paramref name="left"/> is <paramref name="right"/> or started before it.</summary>
    public static bool operator <=(TabId left, TabId right) => left.CompareTo(right) <= 0;

    /// <summary>Whether <paramref name="left"/> is <paramref name="right"/> or started after it.</summary>
    public static bool operator >=(TabId left, TabId right) => left.CompareTo(right) >= 0;
}
