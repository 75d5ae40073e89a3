using System.Data.Common;
using DataSync.Coordination;

namespace DataSync.Storage;

/// <summary>Which <see cref="StorageException"/> it is: what travels when a leader refuses a follower's commit.</summary>
public enum StorageErrorCode
{
    /// <summary>See <see cref="StorageException"/>.</summary>
    Other = 0,

    /// <summary>See <see cref="FencedException"/>.</summary>
    Fenced,

    /// <summary>See <see cref="StoreReplacedException"/>.</summary>
    Replaced,

    /// <summary>See <see cref="MarkerConflictException"/>.</summary>
    MarkerConflict,

    /// <summary>See <see cref="StorageQuotaException"/>.</summary>
    Quota,

    /// <summary>See <see cref="StorageUnavailableException"/>.</summary>
    Unavailable,

    /// <summary>See <see cref="StorageClosedException"/>.</summary>
    Closed,

    /// <summary>See <see cref="CorruptStoreException"/>.</summary>
    Corrupt,

    /// <summary>See <see cref="StoreFormatException"/>.</summary>
    Format,

    /// <summary>See <see cref="NoLeaderException"/>.</summary>
    NoLeader,

    /// <summary>See <see cref="StaleCommitException"/>.</summary>
    Stale,

    /// <summary>See <see cref="StoreInUseException"/>.</summary>
    InUse,

    /// <summary>See <see cref="CommitTooLargeException"/>.</summary>
    TooLarge,

    /// <summary>See <see cref="NotResidentException"/>.</summary>
    NotResident,

    /// <summary>See <see cref="AccessDeniedException"/>.</summary>
    Denied,
}

/// <summary>Something that storage could not do. What was acknowledged before is kept; the message says what to do.</summary>
/// <remarks>
/// A <see cref="DbException"/>, since it comes out of commands and transactions of ADO.NET. <see cref="DbException.IsTransient"/> says whether nothing
/// was changed and the same work may succeed when it is run again.
/// </remarks>
public class StorageException : DbException
{
    /// <summary>Makes the exception.</summary>
    public StorageException(string message, Exception? innerException = null)
        : this(StorageErrorCode.Other, message, innerException)
    {
    }

    private protected StorageException(StorageErrorCode code, string message, Exception? innerException)
        : base(message, innerException) => Code = code;

    /// <summary>Which kind of error it is.</summary>
    public StorageErrorCode Code { get; }

    /// <summary>The error's name in the browser or the operating system (<c>QuotaExceededError</c>), where it came from one.</summary>
    public string? PlatformName { get; init; }

    /// <summary>Makes the exception of a kind from its code, as it comes from another tab.</summary>
    public static StorageException FromCode(StorageErrorCode code, string message) => code switch
    {
        StorageErrorCode.Fenced => new FencedException(default, default, message),
        StorageErrorCode.Replaced => new StoreReplacedException(message),
        StorageErrorCode.MarkerConflict => new MarkerConflictException(0, message),
        StorageErrorCode.Quota => new StorageQuotaException(message),
        StorageErrorCode.Unavailable => new StorageUnavailableException(message),
        StorageErrorCode.Closed => new StorageClosedException(StoreClosedReason.Lost, message),
        StorageErrorCode.Corrupt => new CorruptStoreException(null, message),
        StorageErrorCode.Format => new StoreFormatException(0, message),
        StorageErrorCode.NoLeader => new NoLeaderException(message),
        StorageErrorCode.Stale => new StaleCommitException(0, message),
        StorageErrorCode.TooLarge => new CommitTooLargeException(message),
        StorageErrorCode.NotResident => new NotResidentException(message),
        StorageErrorCode.InUse => new StoreInUseException(null, null, message),
        StorageErrorCode.Denied => new AccessDeniedException(message),
        _ => new StorageException(message),
    };
}

/// <summary>A stale leader was refused: the store has a higher epoch. Another tab leads now; the commit was not written.</summary>
internal sealed class FencedException(Epoch writer, Epoch store, string? message = null) : StorageException(
    StorageErrorCode.Fenced, message ?? $"The store refused a write of epoch {writer}: epoch {store} has begun, so another tab leads now.", null)
{
    /// <summary>The epoch under which the refused write was made.</summary>
    public Epoch WriterEpoch { get; } = writer;

    /// <summary>The epoch that the store holds.</summary>
    public Epoch StoreEpoch { get; } = store;

    /// <summary>Whom it was granted to, where the refused one asked for just this epoch.</summary>
    public TabId? Holder { get; init; }
}

/// <summary>
/// The store is not the one that was opened: it was lost or deleted without a word, and made again. Nothing more is written, but what this
/// tab holds may be all that is left of the database: it can still be read and exported here, until it is disposed or the page reloaded.
/// <c>DataSyncFactory.RestoreAsync</c> puts it into the new store.
/// </summary>
public sealed class StoreReplacedException(string? message = null) : StorageException(
    StorageErrorCode.Replaced, message ?? "The database's storage was lost or deleted, and a new one took its place and is in use, so nothing is written. "
    + "This tab still holds what it was: it can be read and exported. Open the database again to go on with the new one.", null)
{
    /// <summary>Whether the new store was empty when it was found, and nobody had begun to use it.</summary>
    public bool IsEmpty { get; init; }

    /// <summary>The connection was lost, and the store that was found afterwards is brand new.</summary>
    internal static StoreReplacedException Emptied() => new(
        "The database's storage was lost (evicted by the browser, or its disk was full), and an empty one took its place, so nothing is written. "
        + "This tab still holds the database: restore it with DataSyncFactory.RestoreAsync, or export it.") { IsEmpty = true };

    /// <summary>The store's history ends before what this tab knows to have been durable in it.</summary>
    internal static StoreReplacedException WentBack() => new(
        "The database's storage holds an older state than this tab: it was restored from a backup, or lost its last commits. Nothing is written. "
        + "This tab still holds what it was: it can be read and exported. Open the database again to go on with the storage's state.");
}

/// <summary>Another commit holds the marker, or the one before it is missing. Nothing was written.</summary>
internal sealed class MarkerConflictException(long marker, string? message = null) : StorageException(
    StorageErrorCode.MarkerConflict, message ?? $"The store does not take a commit at marker {marker}: its log has moved on. Read the log and try again.", null)
{
    /// <summary>The marker that was refused.</summary>
    public long Marker { get; } = marker;
}

/// <summary>The platform gives no more room. Nothing was written; free space or ask the user for persistent storage.</summary>
public sealed class StorageQuotaException(string? message = null, Exception? innerException = null) : StorageException(
    StorageErrorCode.Quota, message ?? "There is no room left for this origin's storage, so the commit was not written. Delete data or free disk space, then try again.", innerException);

/// <summary>
/// One transaction changes more than is stored in one record: 120 MiB in the browser, where the platform sets the bound (Chromium's is
/// 127 MiB), 1 GiB natively. Nothing was written; split the transaction.
/// </summary>
public sealed class CommitTooLargeException(string? message = null) : StorageException(
    StorageErrorCode.TooLarge, message ?? "The transaction changes more than the browser stores at once (in Chromium 127 MB). Nothing was written; split it into smaller ones.", null);

/// <summary>
/// Something is needed that is stored and not in memory, where it cannot be waited for (<see cref="Residency.OnDemand"/>). Nothing was changed. Asynchronous members load it and go on.
/// </summary>
public sealed class NotResidentException(string? message = null, Exception? innerException = null) : StorageException(
    StorageErrorCode.NotResident,
    message ?? "The part of the database that this needs is not in memory, and a synchronous call cannot wait for it. Use the asynchronous member (QueryAsync, ExecuteAsync, …ReaderAsync), "
    + "which loads it, await LoadAsync first, or open the database with Residency.Full.", innerException)
{
    /// <inheritdoc/>
    public override bool IsTransient => true;
}

/// <summary>The platform has no storage here, or does not allow it (private mode, blocked cookies, no permission).</summary>
public sealed class StorageUnavailableException(string? message = null, Exception? innerException = null) : StorageException(
    StorageErrorCode.Unavailable, message ?? "Persistent storage is not available here. Allow site data for this page (or leave private mode) and reload.", innerException);

/// <summary>The store was closed under its owner, or the object was closed. Open the database again.</summary>
public sealed class StorageClosedException(StoreClosedReason reason, string? message = null) : StorageException(
    StorageErrorCode.Closed,
    message ?? reason switch
    {
        StoreClosedReason.Deleted => "The database was deleted while it was open. Open it again to start with an empty one.",
        StoreClosedReason.Upgraded => "A newer version of the app, in another tab, upgrades the database. Reload this page.",
        _ => "The connection to the database's storage was lost. Open the database again.",
    },
    null)
{
    /// <summary>Why it was closed.</summary>
    public StoreClosedReason Reason { get; } = reason;
}

/// <summary>Something in the store fails its checks. Nothing was changed; the report names what.</summary>
public sealed class CorruptStoreException(RecoveryReport? report, string? message = null) : StorageException(
    StorageErrorCode.Corrupt, message ?? report?.Describe() ?? "The store is corrupt.", null)
{
    /// <summary>What was found, when this tab read the store itself.</summary>
    public RecoveryReport? Report { get; } = report;
}

/// <summary>The store was written by a newer version of DataSync. Nothing was changed; update the app (reload the page).</summary>
public sealed class StoreFormatException(int found, string? message = null) : StorageException(
    StorageErrorCode.Format, message ?? $"The store has format {found}, and this version of DataSync reads up to {Head.CurrentFormat}. Update the app (reload the page).", null)
{
    /// <summary>The store's format version; 0 when unknown.</summary>
    public int Found { get; } = found;
}

/// <summary>No leader and no store could be reached in time.</summary>
public sealed class NoLeaderException(string? message = null, Exception? innerException = null) : StorageException(
    StorageErrorCode.NoLeader, message ?? "Leave to write did not come in time: no tab leads, or another one writes for very long. Nothing was changed; try again.", innerException)
{
    /// <summary>
    /// Whether the commit was on its way, so that its outcome is unknown: it may still become durable. Otherwise nothing was changed.
    /// </summary>
    public bool IsOutcomeUnknown { get; private init; }

    /// <inheritdoc/>
    public override bool IsTransient => !IsOutcomeUnknown;

    internal static NoLeaderException OutcomeUnknown(TimeSpan waited) => new(FormattableString.Invariant(
        $"No leader answered within {waited.TotalSeconds:0.#} s, so the outcome of the write is unknown. Look at the data, then try again.")) { IsOutcomeUnknown = true };

    internal static NoLeaderException NotDurableYet(TimeSpan waited, bool isOutcomeUnknown) => new(FormattableString.Invariant(
        $"No leader could be reached within {waited.TotalSeconds:0.#} s, so what was acknowledged is not known to be durable. Nothing was taken back: it becomes durable when the connection is back.")) { IsOutcomeUnknown = isOutcomeUnknown };
}

/// <summary>The work was run, several times where it could be, and each time another tab had committed first. Nothing of it was kept.</summary>
public sealed class StaleCommitException(int attempts, string? message = null) : StorageException(
    StorageErrorCode.Stale,
    message ?? (attempts > 1 ? $"Other tabs committed first, {attempts} times in a row. Nothing was changed; try again." : "Another tab committed first. Nothing was changed; run the work again."),
    null)
{
    /// <inheritdoc/>
    public override bool IsTransient => true;

    /// <summary>How often the work was run.</summary>
    public int Attempts { get; } = attempts;
}

/// <summary>Another process has the store open. A store on disk belongs to one process at a time; nothing was opened.</summary>
public sealed class StoreInUseException(string? directory, int? processId, string? message = null) : StorageException(
    StorageErrorCode.InUse,
    message ?? (processId is { } id
        ? FormattableString.Invariant($"The database in {directory} is open in process {id}. Close it there, or use another directory.")
        : $"The database in {directory} is open in another process. Close it there, or use another directory."),
    null)
{
    /// <summary>The store's directory; null when unknown.</summary>
    public string? Directory { get; } = directory;

    /// <summary>The process that has it open; null when unknown.</summary>
    public int? ProcessId { get; } = processId;
}

/// <summary>A server does not let this user open the database, or write what was to be written. Nothing was changed.</summary>
public sealed class AccessDeniedException(string? message = null) : StorageException(
    StorageErrorCode.Denied, message ?? "The server does not allow this.", null);
