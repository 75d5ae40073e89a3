using System.Runtime.InteropServices;

namespace DataSync.Vfs.Browser;

/// <summary>A value as <c>rows.js</c> lays it out and takes it: of a column of a row, or of a parameter of a run.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct ValueCell
{
    /// <summary>One of <see cref="CellType"/>.</summary>
    [FieldOffset(0)] public int Type;

    /// <summary>Bytes of a text or blob.</summary>
    [FieldOffset(4)] public int Length;

    [FieldOffset(8)] public double Number;
    [FieldOffset(8)] public long Integer;

    /// <summary>Where the bytes of a text or blob are.</summary>
    [FieldOffset(8)] public int Address;
}

/// <summary>SQLite's types; the same numbers as in <c>rows.js</c>.</summary>
internal static class CellType
{
    public const int Integer = 1, Float = 2, Text = 3, Blob = 4, Null = 5;

    /// <summary>Of an integer: in eight bytes, not as a number that JavaScript has.</summary>
    public const int Long = 256;
}
