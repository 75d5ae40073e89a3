using DataSync.Vfs.Undo;
using Xunit;

namespace DataSync.Vfs.Tests;

/// <summary>Tables are read out of changesets without SQLite; that its own are understood, the undo contracts show.</summary>
public sealed class ChangesetTests
{
    // Two tables: an INSERT of every type of value, a text of 128 bytes among them, and an UPDATE (two records) and a DELETE.
    private static readonly byte[] Sample =
    [
        (byte)'T', 5, 1, 0, 0, 0, 0, (byte)'o', (byte)'n', (byte)'e', 0,
        18, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 2, 1, 2, 3, 4, 5, 6, 7, 8, 3, 0x81, 0, .. new byte[128], 4, 2, (byte)'T', 18, 5,
        (byte)'T', 2, 1, 0, 0xC3, 0xBC, 0,
        23, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 5, 0, 3, 1, (byte)'x',
        9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 5,
    ];

    [Fact]
    public void The_tables_are_told_in_their_order()
    {
        Assert.Equal(["one", "ü"], Changeset.TablesOf(Sample));
        Assert.Empty(Changeset.TablesOf([]));
    }

    [Fact]
    public void What_is_cut_short_or_spoilt_is_no_changeset()
    {
        for (var length = 1; length < Sample.Length; length++)
        {
            try
            {
                Assert.InRange(Changeset.TablesOf(Sample.AsSpan(0, length)).Count, 1, 2); // cut between two changes
            }
            catch (InvalidDataException)
            {
                // as it should be
            }
        }

        Assert.Throws<InvalidDataException>(() => Changeset.TablesOf(Sample.AsSpan(0, Sample.Length - 2)));
        Assert.Throws<InvalidDataException>(() => Changeset.TablesOf([(byte)'T', 1, 1, (byte)'a', 0, 18, 0, 9]));
        Assert.Throws<InvalidDataException>(() => Changeset.TablesOf([(byte)'T', 1, 1, (byte)'a', 0, 18, 0, 4, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]));
    }
}
