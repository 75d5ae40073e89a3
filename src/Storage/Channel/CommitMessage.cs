using System.Buffers.Binary;
using System.Text;
using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>What a message between the tabs of one database means.</summary>
internal enum CommitMessageKind : byte
{
    /// <summary>Writer to leader: take this commit.</summary>
    Commit = 1,

    /// <summary>Leader to all: this commit is durable. Carries it when it is small.</summary>
    Committed = 2,

    /// <summary>Leader to writer: this commit was not taken, for the reason in <see cref="CommitMessage.Code"/>.</summary>
    Refused = 3,

    /// <summary>Writer to leader: the write turn, please.</summary>
    TurnRequest = 4,

    /// <summary>Leader to writer: it is yours, on top of <see cref="CommitMessage.Position"/>.</summary>
    TurnGrant = 5,

    /// <summary>Writer to leader: not needed any more.</summary>
    TurnRelease = 6,

    /// <summary>Leader to all: I lead and accept writes; this is where the history stands. Repeated with the heartbeat.</summary>
    Leading = 7,

    /// <summary>Any tab to all: whoever leads, say so.</summary>
    WhoLeads = 8,

    /// <summary>Writer to leader: what became of this commit? You were sent it before.</summary>
    Question = 9,

    /// <summary>Leader to writer: it never came; send it again.</summary>
    Missing = 10,

    /// <summary>Writer to leader: run these statements, each as a commit of mine, behind the commit that is named.</summary>
    Statements = 11,
}

/// <summary>One message between the tabs of one database, and its binary form.</summary>
/// <remarks>
/// <code>
///   0  u32 magic "DSM1"   4  u8 protocol version   5  u8 kind   6  u16 flags (1: the leadership has just begun; 2: from an observer)
///   8  i64 epoch   16  16 bytes sender   32  16 bytes addressee (zero: all)   48  16 bytes incarnation
///  64  i64 marker   72  16 bytes commit id   88  i64 turn   96  i64 durable marker
/// 104  i32 code   108  i32 text bytes   112  i32 records   116  u32 hash of bytes 0–115   120  text, then i32 length + bytes each
/// </code>
/// Records carry checksums of their own.
/// </remarks>
internal sealed record CommitMessage
{
    public const byte ProtocolVersion = 4;

    /// <summary>Of what a record of <see cref="CommitMessageKind.Statements"/> begins with: the request's id. The statements follow.</summary>
    public const int RequestIdSize = 16;

    private const uint Magic = 0x314D5344;
    private const int HeaderSize = 120;
    private const int HashOffset = 116;

    /// <summary>Far more than a leader has accepted and not appended; it bounds what a forged header makes this tab allocate.</summary>
    private const int MaxRecords = 65_536;

    public required CommitMessageKind Kind { get; init; }

    public required Epoch Epoch { get; init; }

    public required TabId Sender { get; init; }

    /// <summary>The only tab that it is for; default for all.</summary>
    public TabId To { get; init; }

    public required Guid Incarnation { get; init; }

    /// <summary>The commit that is meant, or the position on which a turn is granted.</summary>
    public Position Position { get; init; }

    /// <summary>The turn request's number, chosen by the tab that asks; 0 for none.</summary>
    public long Turn { get; init; }

    /// <summary>The last durable marker at the leader.</summary>
    public long Durable { get; init; }

    public StorageErrorCode Code { get; init; }

    /// <summary>The leadership has just begun: what was sent to the one before must be sent again.</summary>
    public bool HasJustBegun { get; init; }

    /// <summary>Its sender is in no list of tabs (<see cref="IObserverPlatform"/>).</summary>
    public bool IsFromObserver { get; init; }

    public string Text { get; init; } = "";

    public IReadOnlyList<byte[]> Records { get; init; } = [];

    public byte[] Encode()
    {
        var text = Encoding.UTF8.GetBytes(Text);
        var length = checked(HeaderSize + text.Length + Records.Sum(r => 4 + r.Length));
        var bytes = GC.AllocateUninitializedArray<byte>(length);
        var span = bytes.AsSpan();
        BinaryPrimitives.WriteUInt32LittleEndian(span, Magic);
        span[4] = ProtocolVersion;
        span[5] = (byte)Kind;
        BinaryPrimitives.WriteUInt16LittleEndian(span[6..], (ushort)((HasJustBegun ? 1 : 0) | (IsFromObserver ? 2 : 0)));
        BinaryPrimitives.WriteInt64LittleEndian(span[8..], Epoch.Value);
        Sender.ToGuid().TryWriteBytes(span[16..]);
        To.ToGuid().TryWriteBytes(span[32..]);
        Incarnation.TryWriteBytes(span[48..]);
        BinaryPrimitives.WriteInt64LittleEndian(span[64..], Position.Marker);
        Position.Commit.Value.TryWriteBytes(span[72..]);
        BinaryPrimitives.WriteInt64LittleEndian(span[88..], Turn);
        BinaryPrimitives.WriteInt64LittleEndian(span[96..], Durable);
        BinaryPrimitives.WriteInt32LittleEndian(span[104..], (int)Code);
        BinaryPrimitives.WriteInt32LittleEndian(span[108..], text.Length);
        BinaryPrimitives.WriteInt32LittleEndian(span[112..], Records.Count);
        BinaryPrimitives.WriteUInt32LittleEndian(span[HashOffset..], Hash(span));
        text.CopyTo(span[HeaderSize..]);
        var at = HeaderSize + text.Length;
        foreach (var record in Records)
        {
            BinaryPrimitives.WriteInt32LittleEndian(span[at..], record.Length);
            record.CopyTo(span[(at + 4)..]);
            at += 4 + record.Length;
        }

        return bytes;
    }

    /// <summary>Reads a message; null for anything that is not one of this protocol version, whatever it is.</summary>
    public static CommitMessage? TryParse(ReadOnlySpan<byte> bytes)
    {
        if (TryParseHeader(bytes) is not { } header) return null;
        var textLength = BinaryPrimitives.ReadInt32LittleEndian(bytes[108..]);
        var recordCount = BinaryPrimitives.ReadInt32LittleEndian(bytes[112..]);
        if (textLength < 0 || textLength > bytes.Length - HeaderSize || recordCount is < 0 or > MaxRecords) return null;
        if (ReadRecords(bytes[(HeaderSize + textLength)..], recordCount) is not { } records) return null;
        return header with { Text = Encoding.UTF8.GetString(bytes.Slice(HeaderSize, textLength)), Records = records };
    }

    /// <summary>Reads the beginning of a message, without its text and its records, which may not be there.</summary>
    /// <inheritdoc cref="TryParse"/>
    public static CommitMessage? TryParseHeader(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length < HeaderSize || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic || bytes[4] != ProtocolVersion) return null;
        if (BinaryPrimitives.ReadUInt32LittleEndian(bytes[HashOffset..]) != Hash(bytes)) return null;
        var kind = (CommitMessageKind)bytes[5];
        if (kind is < CommitMessageKind.Commit or > CommitMessageKind.Statements) return null;
        var (epoch, marker) = (BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]), BinaryPrimitives.ReadInt64LittleEndian(bytes[64..]));
        var (turn, durable) = (BinaryPrimitives.ReadInt64LittleEndian(bytes[88..]), BinaryPrimitives.ReadInt64LittleEndian(bytes[96..]));
        if (epoch is < 0 or > Coordination.Epoch.MaxPlausible || marker < 0 || turn < 0 || durable < 0) return null;
        var sender = TabId.FromGuid(new(bytes.Slice(16, 16)));
        if (sender == default) return null;
        return new CommitMessage
        {
            Kind = kind,
            HasJustBegun = (bytes[6] & 1) != 0,
            IsFromObserver = (bytes[6] & 2) != 0,
            Epoch = new(epoch),
            Sender = sender,
            To = TabId.FromGuid(new(bytes.Slice(32, 16))),
            Incarnation = new(bytes.Slice(48, 16)),
            Position = new(marker, new(new Guid(bytes.Slice(72, 16)))),
            Turn = turn,
            Durable = durable,
            Code = (StorageErrorCode)BinaryPrimitives.ReadInt32LittleEndian(bytes[104..]),
        };
    }

    /// <summary>Which kind of message it is, and for whom, without reading the rest; null for anything that is not one.</summary>
    public static (CommitMessageKind Kind, TabId To)? TryPeek(ReadOnlySpan<byte> bytes) =>
        bytes.Length < HeaderSize || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != Magic || bytes[4] != ProtocolVersion ? null
        : ((CommitMessageKind)bytes[5], TabId.FromGuid(new(bytes.Slice(32, 16))));

    /// <summary>The commits that it carries; null when one of them is none that a tab of this store can have sealed.</summary>
    public IReadOnlyList<CommitRecord>? ReadCommits(bool verifyBlocks)
    {
        var commits = new List<CommitRecord>(Records.Count);
        foreach (var bytes in Records)
        {
            if (CommitRecord.Parse(bytes, verifyBlocks, out _) is not { IsPlausible: true } commit) return null;
            commits.Add(commit);
        }

        return commits;
    }

    private static uint Hash(ReadOnlySpan<byte> message) => unchecked((uint)Checksum.Compute(ChecksumKind.FastHash, message[..HashOffset]));

    private static byte[][]? ReadRecords(ReadOnlySpan<byte> bytes, int count)
    {
        var records = new byte[count][];
        for (var i = 0; i < count; i++)
        {
            if (bytes.Length < 4) return null;
            var length = BinaryPrimitives.ReadInt32LittleEndian(bytes);
            if (length < 0 || length > bytes.Length - 4) return null;
            records[i] = bytes.Slice(4, length).ToArray();
            bytes = bytes[(4 + length)..];
        }

        return bytes.IsEmpty ? records : null;
    }
}
