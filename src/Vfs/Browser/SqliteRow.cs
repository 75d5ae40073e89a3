using System.Runtime.InteropServices;

namespace DataSync.Vfs.Browser;

/// <summary>
/// The types and numbers of the row that was stepped to last: the step brings them along, since a call into JavaScript for each
/// costs more than all of them. Texts, blobs, and every column of any other statement are asked for one by one.
/// </summary>
internal static unsafe class SqliteRow
{
    private const int MaxColumns = 64, Integer = 1, Float = 2;

    private static readonly int* Types = (int*)NativeMemory.AllocZeroed(MaxColumns, sizeof(int) + sizeof(double));
    private static readonly double* Values = (double*)(Types + MaxColumns);
    private static int _statement, _count;

    /// <summary>Where JavaScript writes.</summary>
    public static nint Address => (nint)Types;

    /// <summary>Steps a statement.</summary>
    public static int Step(int statement)
    {
        var code = SqliteImports.Step(statement);
        if ((code & 0xFF) == SqliteResult.Row)
        {
            (_statement, _count) = (statement, code >> 8);
            return SqliteResult.Row;
        }

        Leave(statement);
        return code;
    }

    /// <summary>The statement has no row any more.</summary>
    public static void Leave(int statement)
    {
        if (statement == _statement) _statement = 0;
    }

    public static int Type(int statement, int index) =>
        statement == _statement && (uint)index < (uint)_count ? Types[index] & 0xFF : SqliteImports.ColumnType(statement, index);

    public static long Int64(int statement, int index) =>
        statement == _statement && (uint)index < (uint)_count && Types[index] == Integer ? (long)Values[index] : SqliteImports.ColumnInt64(statement, index);

    public static int Int32(int statement, int index) =>
        statement == _statement && (uint)index < (uint)_count && Types[index] == Integer ? (int)(long)Values[index] : SqliteImports.ColumnInt(statement, index);

    public static double Double(int statement, int index) =>
        statement == _statement && (uint)index < (uint)_count && Types[index] is Integer or Float ? Values[index] : SqliteImports.ColumnDouble(statement, index);
}
