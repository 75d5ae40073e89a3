using System.Buffers.Binary;
using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests;

public sealed class CommitRecordTests
{
    private static readonly Position After = new(6, CommitId.New());
    private static readonly TabId Writer = TabId.New(TimeProvider.System);

    [Theory]
    [InlineData(0, null)]
    [InlineData(3, 0L)]
    [InlineData(int.MaxValue, long.MaxValue)]
    [InlineData(1, long.MinValue + 1)]
    public void A_record_keeps_what_statements_did(int changes, long? row)
    {
        var result = new StatementResult(changes, row);
        var record = Seal(result).Stamp(new Fence(Guid.NewGuid(), new(3)));
        Assert.Equal(result, CommitRecord.Parse(record.Bytes.ToArray(), verifyBlocks: true, out _)!.Result);
        Assert.Null(CommitRecord.Parse(Seal(null).Bytes.ToArray(), verifyBlocks: true, out _)!.Result);
    }

    [Theory]
    [InlineData(new string[] { }, false)]
    [InlineData(new[] { "note" }, true)]
    [InlineData(new[] { "Ünï", "b", "a table" }, false)]
    [InlineData(null, false)]
    public void A_record_keeps_which_tables_changed(string[]? names, bool isSchemaChanged)
    {
        var record = CommitRecord.Parse(Seal(null, new(names, isSchemaChanged)).Stamp(new Fence(Guid.NewGuid(), new(3))).Bytes.ToArray(), verifyBlocks: true, out _)!;
        Assert.Equal(names, record.Tables.Names);
        Assert.Equal(isSchemaChanged, record.Tables.IsSchemaChanged);
        Assert.Equal([0u, 1u], record.BlockIds.ToArray());
        Assert.All(record.BlockData(1).ToArray(), b => Assert.Equal(9, b));
        Assert.True(CommitRecord.TryReadHeader(record.Bytes.Span, out var marker, out _, out var length));
        Assert.Equal((7, record.Bytes.Length), (marker, length));
        Assert.Equal((null, true), (Seal(null).Tables.Names, Seal(null).Tables.IsSchemaChanged));
    }

    [Fact]
    public void Too_many_tables_count_as_any()
    {
        var record = Seal(null, new([.. Enumerable.Repeat(new string('x', 100), 41)], false));
        Assert.Equal((null, false), (record.Tables.Names, record.Tables.IsSchemaChanged));
        Assert.Equal(40, Seal(null, new([.. Enumerable.Repeat(new string('x', 100), 40)], false)).Tables.Names!.Count);
    }

    /// <summary>What DataSync wrote before records kept what statements did, and which tables changed: less of header.</summary>
    [Theory]
    [InlineData(1, 128)]
    [InlineData(2, 144)]
    public void A_record_of_an_older_format_is_read(ushort format, int header)
    {
        var now = Seal(null).Bytes.ToArray();
        byte[] old = [.. now[..(header - 8)], .. new byte[8], .. now[152..]];
        BinaryPrimitives.WriteUInt16LittleEndian(old.AsSpan(4), format);
        BinaryPrimitives.WriteUInt64LittleEndian(old.AsSpan(header - 8), Checksum.Compute(ChecksumKind.FastHash, old.AsSpan(0, header - 8)));
        var record = CommitRecord.Parse(old, verifyBlocks: true, out var error);
        Assert.Null(error);
        Assert.Equal((7L, After, Writer, 8192L), (record!.Marker, record.Base, record.Writer, record.FileSize));
        Assert.Equal([0u, 1u], record.BlockIds.ToArray());
        Assert.All(record.BlockData(1).ToArray(), b => Assert.Equal(9, b));
        Assert.Null(record.Result);
        Assert.Equal(TouchedTables.Unknown, record.Tables);
        Assert.True(CommitRecord.TryReadHeader(old, out var marker, out _, out var length));
        Assert.Equal((7, old.Length), (marker, length));
        Assert.True(CommitRecord.IsCutShort(old[..^1]));

        // And stamped by a leader of today.
        var fence = new Fence(Guid.NewGuid(), new(3));
        var stamped = CommitRecord.Parse(record.Stamp(fence).Bytes.ToArray(), verifyBlocks: true, out _);
        Assert.Equal(fence, new Fence(stamped!.Incarnation, stamped.Epoch));
    }

    [Fact]
    public void The_commit_of_a_request_has_another_id_under_each_epoch()
    {
        var request = CommitId.New().Request;
        var (one, other) = (request.Under(new(1)), request.Under(new(Epoch.MaxPlausible)));
        Assert.Equal(3, new[] { request, one, other }.Distinct().Count());
        Assert.Equal([request, request, request], [request.Request, one.Request, other.Request]);
        Assert.NotEqual(request, CommitId.New().Request);
    }

    private static unsafe CommitRecord Seal(StatementResult? result, TouchedTables? tables = null)
    {
        var block = Enumerable.Repeat((byte)9, Extent.BlockSize).ToArray();
        fixed (byte* bytes = block)
        {
            var address = (nint)bytes;
            return CommitRecord.Seal(CommitId.New(), After, Writer, 1, 8192, ChecksumKind.FastHash, [0, 1], [], _ => address, result, tables);
        }
    }
}
