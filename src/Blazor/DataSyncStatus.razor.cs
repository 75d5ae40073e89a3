using System.Globalization;
using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.AspNetCore.Components;

namespace DataSync.Blazor;

/// <summary>
/// Says whether this tab leads, how many tabs there are, what is not durable yet, and what is wrong with the storage. It follows the database's events. Screen readers hear of
/// changes, and of trouble at once.
/// </summary>
public sealed partial class DataSyncStatus : IDisposable
{
    private bool _isDatabaseGiven;
    private DataSyncDatabase? _database;
    private DataSyncStatusContext? _now;
    private volatile SyncFailedEventArgs? _failed;
    private int _isLookAsked;

    /// <summary>The database; null: it is not open yet, so nothing is said. Where this is not set at all, the one that a <c>CascadingValue</c> brings.</summary>
    [Parameter]
    public DataSyncDatabase? Database { get; set; }

    /// <summary>Other words, or another language, for role, tabs and what is not durable yet.</summary>
    [Parameter]
    public RenderFragment<DataSyncStatusContext>? ChildContent { get; set; }

    /// <summary>Other words for <see cref="DataSyncStatusContext.Trouble"/>, or more: a button that opens the database again, for instance.</summary>
    [Parameter]
    public RenderFragment<DataSyncStatusContext>? Trouble { get; set; }

    [CascadingParameter]
    private DataSyncDatabase? Cascaded { get; set; }

    /// <inheritdoc/>
    public override Task SetParametersAsync(ParameterView parameters)
    {
        _isDatabaseGiven |= parameters.TryGetValue<DataSyncDatabase?>(nameof(Database), out _);
        return base.SetParametersAsync(parameters);
    }

    /// <summary>Follows no more.</summary>
    public void Dispose() => Follow(null);

    /// <inheritdoc/>
    protected override void OnParametersSet()
    {
        var database = _isDatabaseGiven ? Database : Cascaded;
        if (database != _database) Follow(database);
        _now = Read();
    }

    private void Follow(DataSyncDatabase? database)
    {
        if (_database is { } before)
        {
            before.Committed -= OnNews;
            before.Faulted -= OnNews;
            before.Coordinator.LeadershipChanged -= OnNews;
            before.Coordinator.MembersChanged -= OnNews;
            before.AutoSync.DirtyChanged -= OnNews;
            before.AutoSync.BackpressureChanged -= OnNews;
            before.AutoSync.SyncSucceeded -= OnSynced;
            before.AutoSync.SyncFailureSeen -= OnSyncFailed;
        }

        (_database, _failed) = (database, null);
        if (database is null) return;
        database.Committed += OnNews;
        database.Faulted += OnNews;
        database.Coordinator.LeadershipChanged += OnNews;
        database.Coordinator.MembersChanged += OnNews;
        database.AutoSync.DirtyChanged += OnNews;
        database.AutoSync.BackpressureChanged += OnNews;
        database.AutoSync.SyncSucceeded += OnSynced;
        database.AutoSync.SyncFailureSeen += OnSyncFailed;
    }

    private void OnSynced(object? sender, SyncSucceededEventArgs e)
    {
        _failed = null;
        OnNews(sender, e);
    }

    private void OnSyncFailed(object? sender, SyncFailedEventArgs e)
    {
        _failed = e;
        OnNews(sender, e);
    }

    // From any thread, and often: many events, one look.
    private void OnNews(object? sender, EventArgs e)
    {
        if (Interlocked.Exchange(ref _isLookAsked, 1) == 0) _ = InvokeAsync(Look);
    }

    private void Look()
    {
        Volatile.Write(ref _isLookAsked, 0);
        if (Read() is var now && now == _now) return;
        _now = now;
        StateHasChanged();
    }

    private DataSyncStatusContext? Read() => _database is null ? null : DataSyncStatusContext.Of(_database, _failed?.Error, _failed?.Failed ?? 0);

    private static class Words
    {
        public static string Role(DataSyncStatusContext now) => now switch
        {
            { Role: TabRole.Leader } => "This tab leads",
            { Role: TabRole.Candidate } => "This tab is taking over",
            { LeaderId: null } => "No tab leads at the moment",
            _ => "This tab follows",
        };

        public static string Tabs(DataSyncStatusContext now) => Count(now.Tabs, "tab");

        public static string Dirty(DataSyncStatusContext now) => now.DirtyCommits == 0
            ? ""
            : $", {Count(now.DirtyCommits, "write")} not durable yet ({Size(now.DirtyBytes)}){(now.IsBackpressured ? "; more must wait" : "")}";

        public static string Trouble(DataSyncStatusContext now) =>
            now.TakenBack == 0 || now.IsStopped ? now.Trouble!.Message : $"{Count(now.TakenBack, "write")} taken back: {now.Trouble!.Message}";

        private static string Count(int count, string noun) => string.Create(CultureInfo.InvariantCulture, $"{count:N0} {noun}{(count == 1 ? "" : "s")}");

        private static string Size(long bytes) => bytes < 1_000_000
            ? string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e3:0.#} kB")
            : string.Create(CultureInfo.InvariantCulture, $"{bytes / 1e6:0.#} MB");
    }
}
