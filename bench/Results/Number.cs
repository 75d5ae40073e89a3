using System.Globalization;

namespace DataSync.Bench;

/// <summary>Numbers as text.</summary>
internal static class Number
{
    /// <summary>Three digits that count.</summary>
    public static string Format(double value, string unit) => unit switch
    {
        "bytes" => string.Create(CultureInfo.InvariantCulture, $"{value / 1e6:0.00} MB"),
        "rows" or "leases" => string.Create(CultureInfo.InvariantCulture, $"{value:0}"),
        _ => string.Create(CultureInfo.InvariantCulture, $"{Digits(value)} {unit}"),
    };

    public static string Ratio(double? ratio) => ratio is { } value ? string.Create(CultureInfo.InvariantCulture, $"{Digits(value)} ×") : "";

    private static string Digits(double value) => value.ToString(
        value switch { >= 100 => "0", >= 10 => "0.0", >= 0.1 => "0.00", _ => "0.000" }, CultureInfo.InvariantCulture);
}
