using DataSync.Coordination;

namespace DataSync.Playground;

/// <summary>One line of the event log.</summary>
public sealed class LogEntry(DateTimeOffset time, string kind, string text, TabId? tab)
{
    public DateTimeOffset Time { get; internal set; } = time;

    /// <summary>commit, leader, tabs, error or note: the line's colour.</summary>
    public string Kind { get; } = kind;

    public string Text { get; internal set; } = text;

    /// <summary>Whose doing it was, if a tab's.</summary>
    public TabId? Tab { get; } = tab;

    /// <summary>The first of several commits that this line stands for.</summary>
    public long FirstMarker { get; init; }
}

/// <summary>The last things that happened, newest first. Commits of one tab in a row share a line.</summary>
public sealed class EventLog(TimeProvider time)
{
    private const int Limit = 100;

    private readonly LinkedList<LogEntry> entries = new();

    public IEnumerable<LogEntry> Entries => entries;

    public void Add(string kind, string text, TabId? tab = null) => Add(new LogEntry(time.GetLocalNow(), kind, text, tab));

    public void AddCommit(long marker, TabId writer)
    {
        if (entries.First?.Value is { Kind: "commit" } last && last.Tab == writer)
        {
            last.Text = $"commits {last.FirstMarker} to {marker}";
            last.Time = time.GetLocalNow();
        }
        else
        {
            Add(new LogEntry(time.GetLocalNow(), "commit", $"commit {marker}", writer) { FirstMarker = marker });
        }
    }

    private void Add(LogEntry entry)
    {
        entries.AddFirst(entry);
        if (entries.Count > Limit)
        {
            entries.RemoveLast();
        }
    }
}
