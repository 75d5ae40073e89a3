using System.Globalization;
using System.Text;

namespace DataSync.Storage;

/// <summary>One step under way in <c>storage.js</c>: what it asks of .NET meanwhile, and who waits for its end.</summary>
/// <param name="fail">Makes the exception of an outcome that the browser or the step's own checks gave.</param>
internal sealed class IndexedDbRequest(Func<IndexedDbOutcome, long, string, string, Exception> fail)
{
    // Default flags: whoever awaits goes on within the transaction's own event, with no detour through a timer.
    private readonly TaskCompletionSource _completion = new();
    private Exception? _error;

    public int Number { get; set; }

    public Task Task => _completion.Task;

    /// <summary>Receives what is read.</summary>
    public IStoreReadSink? Sink { get; init; }

    /// <summary>Makes the new head of the present one; null leaves it as it is.</summary>
    public Func<Head?, Head?>? Decide { get; init; }

    /// <summary>Stops a read between two records.</summary>
    public CancellationToken CancellationToken { get; init; }

    /// <summary>The browser said that a connection of another tab is in its way.</summary>
    public bool IsBlocked { get; set; }

    public void Complete()
    {
        if (_error is null) _completion.TrySetResult();
        else _completion.TrySetException(_error);
    }

    public void Fail(IndexedDbOutcome outcome, long number, string name, string message) =>
        _completion.TrySetException(_error ?? fail(outcome, number, name, message));

    /// <summary>
    /// For an update: the new head, the epoch that ends with it (or null), and whether the present record is damaged and to be kept
    /// aside, as JSON; null to write nothing. For a read: null to go on.
    /// </summary>
    public string? OnHead(string? text, string? copy, int extents, int logRecords)
    {
        string? answer = null;
        var ok = Guard(() =>
        {
            var head = HeadCodec.Read(ToBytes(text), () => ToBytes(copy));
            if (head is null && (Decide is null || extents > 0)) throw HeadCodec.Missing();
            Sink?.OnHead(head!, extents, logRecords);
            if (Decide?.Invoke(head) is { } decided) answer = Describe(head, decided);
        });
        return ok ? answer : Sink is null ? null : "";
    }

    private static byte[]? ToBytes(string? text) => text is null ? null : Encoding.UTF8.GetBytes(text);

    private static string Describe(Head? present, Head next)
    {
        var ended = present is not null && present.Epoch != next.Epoch ? present.Epoch.Value.ToString(CultureInfo.InvariantCulture) : "null";
        return $"{{\"next\":{Encoding.UTF8.GetString(HeadCodec.Encode(next))},\"ended\":{ended},\"isDamaged\":{(present?.Damage is null ? "false" : "true")}}}";
    }

    public bool OnExtentList(int[] indices) => Guard(() => Sink!.OnExtentList(indices));

    public bool OnExtent(int index, int length) => Guard(() =>
    {
        var extent = new Extent(index);
        if (length is > 0 and <= Extent.MaxRecordSize) IndexedDbInterop.Take(extent.RecordBytes[..length]);
        Sink!.OnExtent(extent, length);
    });

    public bool OnLog(long marker, int length) => Guard(() =>
    {
        var bytes = GC.AllocateUninitializedArray<byte>(length);
        if (length > 0) IndexedDbInterop.Take(bytes);
        Sink!.OnLog(marker, bytes, mayBeTorn: false);
    });

    /// <summary>Runs what must not throw into the browser's event; what it throws goes to whoever waits.</summary>
    private bool Guard(Action action)
    {
        try
        {
            CancellationToken.ThrowIfCancellationRequested();
            action();
            return true;
        }
#pragma warning disable CA1031 // The caller's own exception reaches the caller, through the task.
        catch (Exception error)
#pragma warning restore CA1031
        {
            _error ??= error;
            return false;
        }
    }
}
