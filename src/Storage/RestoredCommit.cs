using System.Buffers.Binary;

namespace DataSync.Storage;

/// <summary>
/// The id of a commit that fills a new store with what a tab still held of a lost one. It tells which store that was and how far its
/// history went, so that of several tabs that do this the newest image wins, whoever comes first.
/// </summary>
internal static class RestoredCommit
{
    private const int MarkerBits = 48;

    /// <summary>Names the commit: 8 bytes for the lost store, 6 for the marker, 2 by chance, as an id that was refused is never taken again.</summary>
    public static CommitId NewId(Guid lost, long marker)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64BigEndian(bytes, NameOf(lost));
        BinaryPrimitives.WriteInt64BigEndian(bytes[8..], (marker << (64 - MarkerBits)) | (uint)Random.Shared.Next(1 << (64 - MarkerBits)));
        return new(new Guid(bytes, bigEndian: true));
    }

    /// <summary>How far the history went that a commit restored; null when it is an ordinary commit, or restored another store.</summary>
    public static long? MarkerOf(CommitId commit, Guid lost)
    {
        Span<byte> bytes = stackalloc byte[16];
        commit.Value.TryWriteBytes(bytes, bigEndian: true, out _);
        return BinaryPrimitives.ReadUInt64BigEndian(bytes) == NameOf(lost) ? BinaryPrimitives.ReadInt64BigEndian(bytes[8..]) >>> (64 - MarkerBits) : null;
    }

    // The name must not be what a random id has by chance: 64 bits of a hash are not.
    private static ulong NameOf(Guid lost) => Checksum.Compute(ChecksumKind.FastHash, lost.ToByteArray());
}
