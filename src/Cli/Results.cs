using System.Text.Json.Serialization;

namespace DataSync.Cli;

/// <summary>What <c>info --json</c> writes.</summary>
internal sealed record InfoResult(
    string Store, Guid Incarnation, int Format, string Checksum, long Epoch, string? Holder, long Marker, string Commit, long CheckpointMarker,
    long SizeBytes, int Extents, int LogRecords, long LogBytes, int Findings, IReadOnlyList<QuarantinedResult> Quarantine);

/// <summary>A record that a repair kept aside; in a directory, a file.</summary>
internal sealed record QuarantinedResult(string Name, long Bytes);

/// <summary>What <c>verify --json</c> and <c>repair --json</c> write.</summary>
internal sealed record VerifyResult(
    bool IsSound, bool IsDamaged, long Marker, int Extents, int LogRecords, int RolledBack, bool IsRepaired, IReadOnlyList<FindingResult> Findings);

/// <summary>One finding.</summary>
internal sealed record FindingResult(string Kind, string Where, string Detail, IReadOnlyList<long> Blocks);

/// <summary>What <c>log --json</c> writes.</summary>
internal sealed record LogResult(long CheckpointMarker, IReadOnlyList<CommitResult> Commits);

/// <summary>One commit of the log. Of a record that cannot be read only marker, bytes and error are known.</summary>
internal sealed record CommitResult(
    long Marker, string? Commit, long Epoch, DateTimeOffset? Time, string? Writer, IReadOnlyList<uint> Blocks, IReadOnlyList<uint> Freed, long SizeBytes, int Bytes, string? Error);

/// <summary>What <c>export --json</c> and <c>import --json</c> write.</summary>
internal sealed record TransferResult(string File, long Bytes, long Marker);

/// <summary>What <c>delete --json</c> writes.</summary>
internal sealed record DeleteResult(string Store);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(InfoResult))]
[JsonSerializable(typeof(VerifyResult))]
[JsonSerializable(typeof(LogResult))]
[JsonSerializable(typeof(TransferResult))]
[JsonSerializable(typeof(DeleteResult))]
internal sealed partial class ResultJson : JsonSerializerContext;
