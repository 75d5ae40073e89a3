using System.Buffers.Binary;
using System.Text;
using DataSync.Storage;
using Microsoft.Data.Sqlite;

namespace DataSync.Vfs;

/// <summary>A deferred write as the journal keeps it.</summary>
/// <remarks>
/// u8 1, i64 when it was written (Unix time in ms), then a <see cref="StatementBody"/>. Of one that has failed: u8 2, u8 whose error (1: SQLite's), i32 code, i32 extended code, text, then the rest from the
/// time on. Numbers are little-endian, texts UTF-8 with their length.
/// </remarks>
internal static class JournalBody
{
    private const byte Format = 1, FailedFormat = 2;

    private enum ErrorKind : byte
    {
        Storage,
        Sqlite,
    }

    public static byte[] Encode(DateTimeOffset writtenAt, byte[] statements)
    {
        var body = new byte[1 + sizeof(long) + statements.Length];
        body[0] = Format;
        BinaryPrimitives.WriteInt64LittleEndian(body.AsSpan(1), writtenAt.ToUnixTimeMilliseconds());
        statements.CopyTo(body, 1 + sizeof(long));
        return body;
    }

    /// <summary>The same write as one that has failed; once is enough.</summary>
    public static byte[] MarkFailed(byte[] body, Exception error)
    {
        if (body is not [Format, .. var rest]) return body;
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream, Encoding.UTF8);
        writer.Write(FailedFormat);
        var (kind, code, extended) = error switch
        {
            SqliteException sqlite => (ErrorKind.Sqlite, sqlite.SqliteErrorCode, sqlite.SqliteExtendedErrorCode),
            StorageException storage => (ErrorKind.Storage, (int)storage.Code, 0),
            _ => (ErrorKind.Storage, 0, 0),
        };
        writer.Write((byte)kind);
        writer.Write(code);
        writer.Write(extended);
        writer.Write(error.Message);
        writer.Write(rest);
        writer.Flush();
        return stream.ToArray();
    }

    /// <returns>Null: a newer version of the app has written it.</returns>
    public static (long TimeMs, List<TravellingStatement> Statements, Exception? FailedWith)? Decode(byte[] body)
    {
        try
        {
            using var stream = new MemoryStream(body);
            using var reader = new BinaryReader(stream, Encoding.UTF8);
            var format = reader.ReadByte();
            if (format is not (Format or FailedFormat)) return null;
            var failedWith = format == FailedFormat ? ReadError(reader) : null;
            var time = reader.ReadInt64();
            return (time, StatementBody.Decode(body[(int)stream.Position..]).Statements, failedWith);
        }
        catch (Exception error) when (error is FormatException or IOException)
        {
            return null;
        }
    }

    private static Exception ReadError(BinaryReader reader)
    {
        var (kind, code, extended, message) = ((ErrorKind)reader.ReadByte(), reader.ReadInt32(), reader.ReadInt32(), reader.ReadString());
        return kind == ErrorKind.Sqlite ? new SqliteException(message, code, extended) : StorageException.FromCode((StorageErrorCode)code, message);
    }
}
