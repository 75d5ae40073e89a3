using System.Buffers.Binary;
using System.Text;
using DataSync.Storage;

namespace DataSync.Vfs;

/// <summary>
/// Finds the rowids that may have changed between two states of a database by the pages that did: a row of a table with rowids lies in a leaf of its
/// table's tree. See https://www.sqlite.org/fileformat2.html, sections 1.5 and 1.6.
/// </summary>
/// <remarks>Of which table a leaf is does not show: the rowids are those of all tables, and more than those that changed, never fewer.</remarks>
internal static class TouchedRows
{
    /// <summary>What <see cref="Find"/> gives where no row can have changed.</summary>
    public const string None = "[]";

    /// <summary>Beyond this many rowids whole tables are compared instead.</summary>
    private const int MaxRows = 20_000;

    private const int HeaderSize = 100, PageSizeOffset = 16, FreelistOffset = 32, MinPageSize = 512, MaxPageSize = 65536;
    private const byte TableLeaf = 13, Overflow = 0;
    private const int CellCountOffset = 3, CellsOffset = 8;

    /// <summary>The rowids as a JSON array; null where they cannot be told, or are too many.</summary>
    /// <param name="changed">The blocks that changed.</param>
    /// <param name="before">The bytes as they were.</param>
    /// <param name="now">The bytes as they are.</param>
    public static string? Find(IEnumerable<uint> changed, BlockStorage before, BlockStorage now)
    {
        var size = PageSize(now);
        if (size == 0 || size != PageSize(before)) return null;
        var rows = new HashSet<long>();
        HashSet<long>? trunks = null;
        byte[] was = new byte[size], @is = new byte[size];
        foreach (var page in Pages(changed, size))
        {
            before.Read(page * size, was);
            now.Read(page * size, @is);
            var header = page == 0 ? HeaderSize : 0;
            if (was[header] == Overflow && @is[header] == Overflow)
            {
                // The rest of a long row may have been written over where it lies, and does not say whose it is. A list of free pages is nobody's.
                trunks ??= FreelistTrunks(before, size);
                if (trunks is null || !trunks.Contains(page)) return null;
                continue;
            }

            if (!TryAdd(was, header, rows) || !TryAdd(@is, header, rows) || rows.Count > MaxRows) return null;
        }

        return "[" + new StringBuilder().AppendJoin(',', rows) + "]";
    }

    private static IEnumerable<long> Pages(IEnumerable<uint> blocks, int size)
    {
        var last = -1L;
        foreach (var block in blocks.Order())
        {
            var at = (long)block * Extent.BlockSize;
            for (var page = Math.Max(at / size, last + 1); page * size < at + Extent.BlockSize; page++) yield return last = page;
        }
    }

    // False: it is no page as SQLite writes it.
    private static bool TryAdd(ReadOnlySpan<byte> page, int header, HashSet<long> rows)
    {
        if (page[header] != TableLeaf) return true;
        var count = BinaryPrimitives.ReadUInt16BigEndian(page[(header + CellCountOffset)..]);
        if (header + CellsOffset + 2 * count > page.Length) return false;
        for (var i = 0; i < count; i++)
        {
            int at = BinaryPrimitives.ReadUInt16BigEndian(page[(header + CellsOffset + 2 * i)..]);
            if (!TryReadVarint(page, ref at, out _) || !TryReadVarint(page, ref at, out var row)) return false;
            rows.Add(row);
        }

        return true;
    }

    private static bool TryReadVarint(ReadOnlySpan<byte> page, ref int at, out long value)
    {
        value = 0;
        for (var i = 0; i < 9; i++)
        {
            if (at >= page.Length) return false;
            var one = page[at++];
            if (i == 8)
            {
                value = value << 8 | one;
                return true;
            }

            value = value << 7 | (byte)(one & 0x7F);
            if (one < 0x80) return true;
        }

        return false;
    }

    private static HashSet<long>? FreelistTrunks(BlockStorage storage, int size)
    {
        var trunks = new HashSet<long>();
        Span<byte> number = stackalloc byte[4];
        storage.Read(FreelistOffset, number);
        while (BinaryPrimitives.ReadUInt32BigEndian(number) is var next and not 0)
        {
            var page = next - 1L;
            if (page * size >= storage.Size || !trunks.Add(page)) return null;
            storage.Read(page * size, number);
        }

        return trunks;
    }

    private static int PageSize(BlockStorage storage)
    {
        Span<byte> bytes = stackalloc byte[2];
        if (storage.Size < HeaderSize || storage.Read(PageSizeOffset, bytes) < bytes.Length) return 0;
        var size = BinaryPrimitives.ReadUInt16BigEndian(bytes) is var stored and not 1 ? stored : MaxPageSize;
        return size >= MinPageSize && System.Numerics.BitOperations.IsPow2(size) ? size : 0;
    }
}
