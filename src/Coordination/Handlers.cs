namespace DataSync.Coordination;

/// <summary>
/// How events of the public API are raised: each handler by itself, so that one that throws keeps neither the others nor the
/// library's own work from going on.
/// </summary>
internal static class Handlers
{
    /// <summary>Calls every handler; what one throws goes to <paramref name="failed"/>.</summary>
    public static void Raise<T>(EventHandler<T>? handlers, object sender, T args, Action<Exception> failed)
    {
        foreach (var handler in Delegate.EnumerateInvocationList(handlers)) Call(() => handler(sender, args), failed);
    }

    /// <inheritdoc cref="Raise{T}"/>
    public static void Raise(EventHandler? handlers, object sender, Action<Exception> failed)
    {
        foreach (var handler in Delegate.EnumerateInvocationList(handlers)) Call(() => handler(sender, EventArgs.Empty), failed);
    }

    private static void Call(Action handler, Action<Exception> failed)
    {
        try
        {
            handler();
        }
#pragma warning disable CA1031 // A handler's fault is its own.
        catch (Exception error)
#pragma warning restore CA1031
        {
            failed(error);
        }
    }
}
