namespace DataSync.Coordination;

/// <summary>
/// The tabs cannot be coordinated here: localStorage is missing, refused or full, or the page is gone.
/// Thrown by <see cref="TabCoordinator.JoinAsync"/> and by the waits of a tab that cannot take part any more.
/// </summary>
public sealed class CoordinationException : Exception
{
    /// <summary>Creates the exception without a message.</summary>
    public CoordinationException()
    {
    }

    /// <summary>Creates the exception with a message that says what to do.</summary>
    public CoordinationException(string message) : base(message)
    {
    }

    /// <summary>Creates the exception with a message and the failure underneath.</summary>
    public CoordinationException(string message, Exception innerException) : base(message, innerException)
    {
    }

    /// <summary>Whether there is no page: not yet, or not any more. Then nobody is elected, and nothing is wrong.</summary>
    internal bool IsPageMissing { get; init; }
}
