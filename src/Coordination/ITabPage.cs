namespace DataSync.Coordination;

/// <summary>The object in <c>coordination.js</c> that stands for one tab, over one way of calling JavaScript.</summary>
internal interface ITabPage : IAsyncDisposable
{
    /// <summary>Enters the scope; tells whether the page has Web Locks.</summary>
    /// <param name="session">Who enters which scope.</param>
    /// <param name="receive">Takes the page's signals: a kind, and what belongs to it.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    ValueTask<bool> OpenAsync(TabSession session, Action<string, string?> receive, CancellationToken cancellationToken);

    /// <summary>Calls a method; null where it has no answer. Throws what the way of calling throws.</summary>
    ValueTask<string?> CallAsync(string method, CancellationToken cancellationToken, params string?[] arguments);
}
