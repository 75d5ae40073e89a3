using System.Text;
using DataSync.Storage;

namespace DataSync.PostgreSql;

/// <summary>Numbers for advisory locks, which a whole PostgreSQL database shares: 64 bits of a hash, so that nobody else's are met.</summary>
internal static class AdvisoryKey
{
    public static long Of(string schema, params ReadOnlySpan<string> parts) => unchecked((long)Hash(schema, parts));

    /// <summary>A name for LISTEN, which takes 63 bytes: the hash and what follows.</summary>
    public static string Topic(string schema, string database, string suffix = "") => $"datasync_{Hash(schema, database):x16}{suffix}";

    private static ulong Hash(string schema, params ReadOnlySpan<string> parts)
    {
        var text = new StringBuilder("datasync");
        text.Append('\0').Append(schema);
        foreach (var part in parts) text.Append('\0').Append(part);
        return Checksum.Compute(ChecksumKind.FastHash, Encoding.UTF8.GetBytes(text.ToString()));
    }
}
