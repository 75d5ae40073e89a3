using System.Globalization;

namespace DataSync.MultiTab.Chaos;

/// <summary>What a page answered to a write, or that it did not.</summary>
public enum Outcome
{
    /// <summary>No answer came; it may be there or not.</summary>
    Unknown,

    /// <summary>The page said that it is durable.</summary>
    Acknowledged,

    /// <summary>The page said that nothing was written.</summary>
    Refused,
}

/// <summary>One write of a page: its rows, when it was asked for, and what came of it. Times are the test's own clock.</summary>
public sealed class Operation(string writer, int n, int parts, string generation, long begin)
{
    public string Writer { get; } = writer;

    public int N { get; } = n;

    /// <summary>How many rows it writes, all in one transaction.</summary>
    public int Parts { get; } = parts;

    /// <summary>The history that its page had open: a new one begins when the database is deleted.</summary>
    public string Generation { get; } = generation;

    /// <summary>Before it was asked for.</summary>
    public long Begin { get; } = begin;

    /// <summary>After it was answered.</summary>
    public long End { get; set; } = long.MaxValue;

    public Outcome Outcome { get; set; }

    public long Marker { get; set; }

    /// <summary>The number of its last row.</summary>
    public long LastRow { get; set; }

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"{Writer}/{N} ({Outcome}, rows to {LastRow} at marker {Marker} of {Generation})");
}

/// <summary>A row as a tab read it. <paramref name="Before"/> is how many rows its writer found.</summary>
public sealed record Row(long Id, string Writer, int N, int Part, int Parts, long Before, string Generation);

/// <summary>
/// What pages were told and what they read, and whether there is one history that explains it: every acknowledged write once,
/// whole, in one order that all readers see, that is the order of the markers and respects real time, and with it the order of
/// each tab; no refused write; nothing of a deleted database in the one after it.
/// </summary>
public sealed class ChaosHistory
{
    private readonly Lock changing = new();
    private readonly Dictionary<(string Writer, int N), Operation> operations = [];
    private readonly Dictionary<string, List<Row>> generations = [];
    private readonly List<(long Begin, long End, HashSet<string> Known)> deletions = [];
    private readonly List<string> violations = [];

    /// <summary>Called for each violation when it is found.</summary>
    public Action<string> Found { get; set; } = _ => { };

    public IReadOnlyList<string> Violations => violations;

    public Operation Begin(string writer, int n, int parts, string generation, long now)
    {
        var operation = new Operation(writer, n, parts, generation, now);
        lock (changing) operations.Add((writer, n), operation);
        return operation;
    }

    public void Acknowledge(Operation operation, long marker, long lastRow, long now)
    {
        lock (changing) (operation.Outcome, operation.Marker, operation.LastRow, operation.End) = (Outcome.Acknowledged, marker, lastRow, now);
    }

    /// <summary>The page said that nothing was written.</summary>
    public void Refuse(Operation operation, long now)
    {
        lock (changing) (operation.Outcome, operation.End) = (Outcome.Refused, now);
    }

    /// <summary>Writes of a page without an answer.</summary>
    public IReadOnlyList<Operation> UnknownOf(string writer)
    {
        lock (changing) return [.. operations.Values.Where(o => o.Writer == writer && o.Outcome == Outcome.Unknown)];
    }

    /// <summary>When a page was last told that a write is durable; zero when never.</summary>
    public long LastAcknowledgement(string writer)
    {
        lock (changing) return operations.Values.Where(o => o.Writer == writer && o.Outcome == Outcome.Acknowledged).Select(o => o.End).DefaultIfEmpty().Max();
    }

    public int Count(Outcome outcome)
    {
        lock (changing) return operations.Values.Count(o => o.Outcome == outcome);
    }

    public int GenerationCount => generations.Count;

    /// <summary>Acknowledged writes that are not where they were acknowledged, as far as could be read.</summary>
    public int Lost { get; private set; }

    /// <summary>Writes that are there more than once.</summary>
    public int Doubled { get; private set; }

    /// <summary>Of the unknown writes, those that are there after all.</summary>
    public int Resolved { get; private set; }

    /// <summary>A page has opened the database, whose history is the given one. Called with the time before its page was loaded.</summary>
    public void Open(string generation, long loaded)
    {
        lock (changing)
        {
            generations.TryAdd(generation, []);
            // What began after the deletion had ended is not from before it.
            foreach (var (_, end, known) in deletions)
            {
                if (loaded > end && known.Contains(generation)) Violate($"a page that was loaded after the database was deleted shows history {generation} of before");
            }
        }
    }

    /// <summary>The database was deleted between two moments.</summary>
    /// <param name="begin">Before anyone asked for it.</param>
    /// <param name="end">After it was done; <see cref="long.MaxValue"/> when that is unknown.</param>
    /// <param name="known">The histories that were known before.</param>
    public void Delete(long begin, long end, IEnumerable<string> known)
    {
        lock (changing) deletions.Add((begin, end, [.. known]));
    }

    public string[] KnownGenerations()
    {
        lock (changing) return [.. generations.Keys];
    }

    /// <summary>A tab read rows of its history, in order, from a number on.</summary>
    public void Read(string reader, string generation, long from, IReadOnlyList<Row> rows)
    {
        lock (changing)
        {
            var known = generations[generation];
            ArgumentOutOfRangeException.ThrowIfGreaterThan(from, known.Count);
            for (var i = 0; i < rows.Count; i++)
            {
                var (row, id) = (rows[i], from + i + 1);
                if (row.Id != id || row.Before != id - 1 || row.Generation != generation)
                {
                    Violate($"{reader} reads {row} as number {id} of {generation}");
                    return;
                }

                if (id > known.Count) known.Add(row);
                else if (known[(int)id - 1] != row)
                {
                    Violate($"{reader} reads {row} where others read {known[(int)id - 1]}");
                    return;
                }
            }
        }
    }

    /// <summary>How many rows of a history are known.</summary>
    public int KnownRows(string generation)
    {
        lock (changing) return generations[generation].Count;
    }

    public void Violate(string what)
    {
        lock (changing) violations.Add(what);
        Found(what);
    }

    /// <summary>Judges the whole, when nothing happens any more and a reader has read everything.</summary>
    /// <param name="last">The history that the database has now.</param>
    public void Judge(string last)
    {
        lock (changing)
        {
            foreach (var (generation, rows) in generations) JudgeOrder(generation, rows);
            var end = deletions.Count == 0 ? long.MinValue : deletions.Max(deletion => deletion.End);
            var begin = deletions.Count == 0 ? long.MinValue : deletions.Max(deletion => deletion.Begin);
            foreach (var operation in operations.Values.Where(o => o.Outcome == Outcome.Acknowledged))
            {
                if (operation.Generation != last && operation.Begin > end) Violate($"{operation} was acknowledged after the last deletion, and the history is {last}");
                if (operation.Generation == last && operation.End < begin) Violate($"{operation} was acknowledged before the last deletion and is still there");
                var rows = generations[operation.Generation];
                // An earlier history may have ended before anyone read it so far.
                if (operation.Generation != last && operation.LastRow > rows.Count) continue;
                if (operation.LastRow <= rows.Count && IsAt(rows[(int)operation.LastRow - 1], operation)) continue;
                Lost++;
                Violate($"{operation} is not there");
            }
        }
    }

    private static bool IsAt(Row row, Operation operation) =>
        (row.Writer, row.N, row.Part, row.Parts) == (operation.Writer, operation.N, operation.Parts, operation.Parts);

    private void JudgeOrder(string generation, List<Row> rows)
    {
        var seen = new HashSet<Operation>();
        var order = new List<Operation>();
        for (var i = 0; i < rows.Count; i++)
        {
            var row = rows[i];
            if (!operations.TryGetValue((row.Writer, row.N), out var operation))
            {
                Violate($"{row} of {generation} was written by nobody");
            }
            else if (row.Part == 1)
            {
                if (!seen.Add(operation))
                {
                    Doubled++;
                    Violate($"{operation} is there twice");
                }

                order.Add(operation);
                JudgeParts(operation, generation, rows, i);
            }
            else if (i == 0 || (rows[i - 1].Writer, rows[i - 1].N, rows[i - 1].Part) != (row.Writer, row.N, row.Part - 1))
            {
                Violate($"{row} does not follow its part before");
            }
        }

        Resolved += seen.Count(operation => operation.Outcome == Outcome.Unknown);
        JudgeTimes(order);
    }

    private void JudgeParts(Operation operation, string generation, List<Row> rows, int first)
    {
        if (operation.Outcome == Outcome.Refused) Violate($"{operation} was refused and is there");
        if (operation.Generation != generation) Violate($"{operation} is in history {generation}");
        // Readers never see the beginning of a transaction only, so nothing is cut off at the end either.
        var whole = Enumerable.Range(1, operation.Parts).Select(part => (operation.Writer, operation.N, part, operation.Parts));
        if (!rows.Skip(first).Take(operation.Parts).Select(row => (row.Writer, row.N, row.Part, row.Parts)).SequenceEqual(whole)) Violate($"{operation} is there in part");
    }

    /// <summary>Nothing that began after another one's answer comes before it; markers rise.</summary>
    private void JudgeTimes(List<Operation> order)
    {
        var (latest, marker) = (default(Operation), default(Operation));
        foreach (var operation in order)
        {
            // In order, so: nothing here was answered before what is in front of it began.
            if (latest is not null && operation.End < latest.Begin) Violate($"{operation} was answered before {latest} began, and comes after it");
            if (latest is null || operation.Begin > latest.Begin) latest = operation;
            if (operation.Outcome != Outcome.Acknowledged) continue;
            if (marker is not null && operation.Marker <= marker.Marker) Violate($"{operation} comes after {marker}");
            marker = operation;
        }
    }
}
