namespace DataSync.Vfs;

/// <summary>Work that goes on by itself: whoever starts it may be within the work of a transaction, and it is not.</summary>
internal static class Detached
{
    public static void Run(Func<Task> work)
    {
        using (ExecutionContext.IsFlowSuppressed() ? default(AsyncFlowControl?) : ExecutionContext.SuppressFlow()) _ = Task.Run(work);
    }
}
