namespace DataSync.Storage;

/// <summary>A deferred write of plain SQL that was acknowledged and could not be made durable: nothing of it is kept any more but this.</summary>
/// <param name="statements">Its statements, in their order: they were one transaction.</param>
/// <param name="error">What it failed with.</param>
public sealed class FailedWrite(IReadOnlyList<FailedStatement> statements, Exception error)
{
    /// <summary>Its statements, in their order: they were one transaction.</summary>
    public IReadOnlyList<FailedStatement> Statements { get; } = statements;

    /// <summary>What it failed with: SQLite's error when it was run again on the present state of the database, or a <see cref="StorageException"/>.</summary>
    public Exception Error { get; } = error;
}

/// <summary>A statement of a <see cref="FailedWrite"/>.</summary>
/// <param name="Sql">Its text.</param>
/// <param name="Parameters">
/// Its parameters as they were given. Of a write that an earlier session of the app had made: null, an array of values, or of names with values, each null, <see cref="long"/>,
/// <see cref="double"/>, <see cref="string"/> or <c>byte[]</c>.
/// </param>
/// <param name="IsMany">Whether it was run once for each of <paramref name="Parameters"/>, which then is a collection of such.</param>
public sealed record FailedStatement(string Sql, object? Parameters, bool IsMany);

/// <summary>The statements of a deferred write: what is told of it when it fails, and kept where there is a journal.</summary>
/// <param name="statements">The statements.</param>
/// <param name="body">The same for a journal; null: they are not kept.</param>
internal sealed class DeferredStatements(IReadOnlyList<FailedStatement> statements, byte[]? body)
{
    public IReadOnlyList<FailedStatement> Statements => statements;

    public byte[]? Body => body;

    /// <summary>As the last run has them; null while nothing of them is to be kept.</summary>
    public JournalEntry? Entry { get; set; }

    /// <summary>Whether the entry is in the journal: from then on it has its number for good.</summary>
    public bool IsKept { get; set; }
}
