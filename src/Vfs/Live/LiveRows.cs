namespace DataSync.Vfs;

/// <summary>What one run of a live query gave.</summary>
/// <param name="Rows">The rows; one that is as it was is the same object as it was.</param>
/// <param name="Tables">What was read, virtual tables under their own names; null: anything.</param>
/// <param name="Columns">The columns' names.</param>
/// <param name="Values">What the rows were made of.</param>
internal sealed record LiveRun<T>(IReadOnlyList<T> Rows, IReadOnlySet<string>? Tables, IReadOnlyList<string> Columns, object?[][] Values);

/// <summary>Where a live query's rows come from.</summary>
internal abstract class LiveSource<T>
{
    /// <summary>Runs the query; what it throws is the query's error.</summary>
    /// <param name="before">The run before; null at first.</param>
    /// <param name="cancellationToken">Nobody waits for it any more.</param>
    public abstract Task<LiveRun<T>> RunAsync(LiveRun<T>? before, CancellationToken cancellationToken);

    /// <exception cref="InvalidOperationException">It has none that can be set.</exception>
    public abstract void SetParameters(object? parameters);
}

/// <summary>Rows of SQL.</summary>
internal sealed class SqlSource<T>(DataSyncDatabase database, string sql, object? parameters, Func<IReadOnlyList<string>, RowReader<T>> reader) : LiveSource<T>
{
    private readonly SameRows<T> _same = new();
    private volatile object? _parameters = parameters;

    public override void SetParameters(object? parameters) => _parameters = parameters;

    public override async Task<LiveRun<T>> RunAsync(LiveRun<T>? before, CancellationToken cancellationToken)
    {
        await database.WaitForCleanImageAsync(cancellationToken).ConfigureAwait(false); // where a large transaction is open, the schema cannot be read either

        // Asked before the rows are read: a commit that comes in between is another reason to run.
        var tables = await database.RunLoadedAsync(() => database.Scout.TablesOf(sql), cancellationToken).ConfigureAwait(false);
        var empty = (Rows: (List<object?[]>)[], Columns: (IReadOnlyList<string>)[], Make: (Func<object?[], T>?)null);
        var read = await database.ReadOnlyAsync(sql, _parameters, empty, (statement, isRow) =>
        {
            if (statement.Mapper is not RowReader<T> rows) statement.Mapper = rows = reader(statement.Columns);
            var values = new List<object?[]>();
            for (; isRow; isRow = statement.Step())
            {
                cancellationToken.ThrowIfCancellationRequested();
                values.Add(rows.Read(statement));
            }

            return (values, statement.Columns, rows.Make);
        }, cancellationToken).ConfigureAwait(false);
        return _same.Join(before, [.. read.Rows], i => read.Make!(read.Rows[i]), tables, read.Columns);
    }
}

/// <summary>How the values of a row are read, and what they become.</summary>
/// <param name="Read">Takes the values from the row that a statement stands on.</param>
/// <param name="Make">Makes an object of them.</param>
internal sealed record RowReader<T>(Func<Statement, object?[]> Read, Func<object?[], T> Make);

/// <summary>Gives rows that are as they were the objects that they had: those at their places first, then whichever else is alike.</summary>
internal sealed class SameRows<T> : IEqualityComparer<object?[]>
{
    public LiveRun<T> Join(LiveRun<T>? before, object?[][] values, Func<int, T> make, IReadOnlySet<string>? tables, IReadOnlyList<string> columns)
    {
        var rows = new T[values.Length];
        object?[][] old = before is not null && before.Columns.SequenceEqual(columns) ? before.Values : [];
        var (start, end) = (0, 0);
        while (start < Math.Min(old.Length, values.Length) && Equals(old[start], values[start])) Take(start, start++);
        while (end < Math.Min(old.Length, values.Length) - start && Equals(old[^(end + 1)], values[^(end + 1)])) Take(old.Length - ++end, values.Length - end);
        Dictionary<object?[], Queue<int>>? others = null;
        for (var i = start; i < old.Length - end && start < values.Length - end; i++)
        {
            others ??= new(this);
            if (!others.TryGetValue(old[i], out var places)) others.Add(old[i], places = []);
            places.Enqueue(i);
        }

        for (var i = start; i < values.Length - end; i++)
        {
            if (others is not null && others.TryGetValue(values[i], out var places) && places.TryDequeue(out var from)) Take(from, i);
            else rows[i] = make(i);
        }

        return new(rows, tables, columns, values);

        void Take(int from, int to) => (rows[to], values[to]) = (before!.Rows[from], old[from]);
    }

    /// <summary>Whether two values are alike, bytes one by one.</summary>
    public static bool AreSame(object? one, object? other) => one is byte[] bytes ? other is byte[] others && bytes.AsSpan().SequenceEqual(others) : Equals(one, other);

    public bool Equals(object?[]? one, object?[]? other)
    {
        if (one!.Length != other!.Length) return false;
        for (var i = 0; i < one.Length; i++)
        {
            if (!AreSame(one[i], other[i])) return false;
        }

        return true;
    }

    public int GetHashCode(object?[] values)
    {
        var hash = new HashCode();
        foreach (var value in values)
        {
            if (value is byte[] bytes) hash.AddBytes(bytes);
            else hash.Add(value);
        }

        return hash.ToHashCode();
    }
}
