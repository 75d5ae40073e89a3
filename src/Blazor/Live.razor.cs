using System.Diagnostics.CodeAnalysis;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Rendering;

namespace DataSync.Blazor;

/// <summary>
/// Shows the rows of a query and follows the database: a change by any tab that the query reads is shown by itself. The query runs in this tab
/// (<see cref="DataSyncDatabase.LiveAsync{T}"/>); a row that did not change is not rendered again.
/// </summary>
/// <typeparam name="TRow">What a row becomes, as for <see cref="DataSyncDatabase.QueryAsync{T}"/>.</typeparam>
/// <remarks>Give either <see cref="Row"/> or <see cref="ChildContent"/>. It adds no elements of its own, but for the default of <see cref="Error"/>.</remarks>
public sealed partial class Live<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicConstructors | DynamicallyAccessedMemberTypes.PublicProperties)] TRow> : IAsyncDisposable
{
    private bool _isDatabaseGiven;
    private Source _source;
    private ParameterValues _values = ParameterValues.Of(null);
    private LiveQuery<TRow>? _query;
    private IReadOnlyList<TRow>? _rows;
    private Exception? _error;
    private int _generation;

    /// <summary>The database. Null: it is not open yet, so <see cref="Loading"/> is shown. Where this is not set at all, the one that a <c>CascadingValue</c> brings.</summary>
    [Parameter]
    public DataSyncDatabase? Database { get; set; }

    /// <summary>The query; it must not write. Another text is another query, whose rows are shown when they are there.</summary>
    [Parameter, EditorRequired]
    public string? Sql { get; set; }

    /// <summary>
    /// The query's parameters, as for <see cref="DataSyncDatabase.QueryAsync{T}"/>. They are compared by their values: the query runs again when one of them is another, not whenever
    /// the component around this is rendered.
    /// </summary>
    [Parameter]
    public object? Parameters { get; set; }

    /// <summary>
    /// What tells rows apart, such as <c>todo => todo.Id</c>: a row keeps its elements, and what the user does in them, when its values change. Without it a row whose
    /// values change is a new one.
    /// </summary>
    [Parameter]
    public Func<TRow, object?>? Key { get; set; }

    /// <summary>Shown until the first rows are there; nothing by default.</summary>
    [Parameter]
    public RenderFragment? Loading { get; set; }

    /// <summary>Shown where there are no rows; by default nothing, or <see cref="ChildContent"/> with an empty list.</summary>
    [Parameter]
    public RenderFragment? Empty { get; set; }

    /// <summary>
    /// Shown in place of the rows while the query fails; by default its message, in a paragraph of the class <c>datasync-error</c>. The query goes on when it can. Where the database has stopped
    /// (<see cref="StorageException"/>) it is shown before the last rows, which may be all that is left.
    /// </summary>
    [Parameter]
    public RenderFragment<Exception>? Error { get; set; }

    /// <summary>Shows one row.</summary>
    [Parameter]
    public RenderFragment<TRow>? Row { get; set; }

    /// <summary>Shows all rows.</summary>
    [Parameter]
    public RenderFragment<IReadOnlyList<TRow>>? ChildContent { get; set; }

    [CascadingParameter]
    private DataSyncDatabase? Cascaded { get; set; }

    /// <summary>The query of the present database and text.</summary>
    internal LiveQuery<TRow>? Query => _query;

    /// <inheritdoc/>
    public override Task SetParametersAsync(ParameterView parameters)
    {
        _isDatabaseGiven |= parameters.TryGetValue<DataSyncDatabase?>(nameof(Database), out _);
        return base.SetParametersAsync(parameters);
    }

    /// <summary>Ends the query. The database stays open.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Detach() is { } query) await query.DisposeAsync().ConfigureAwait(false);
    }

    /// <inheritdoc/>
    protected override void OnParametersSet()
    {
        if (Row is null == ChildContent is null)
        {
            throw new InvalidOperationException(
                $"<Live TRow=\"{typeof(TRow).Name}\"> needs one of two templates, and has {(Row is null ? "none" : "both")}: <Row> shows each row, <ChildContent> (or the plain content) shows the whole list.");
        }

        _generation++;
        var source = new Source(_isDatabaseGiven ? Database : Cascaded, Sql, Key is not null);
        var values = ParameterValues.Of(Parameters);
        var areSame = values.Equals(_values);
        _values = values;
        if (source != _source) Start(source);
        else if (!areSame && _query is { } query) _ = RunAsync(query, source.Database!);
    }

    private void Start(Source source)
    {
        if (Detach() is { } before) _ = before.DisposeAsync().AsTask();
        (_source, _rows, _error) = (source, null, null);
        if (source.Database is not { } database || string.IsNullOrWhiteSpace(source.Sql)) return;
        try
        {
            _query = database.PrepareLive<TRow>(source.Sql, Parameters, source.HasKey ? row => Key?.Invoke(row) : null);
            _query.Changed += OnChanged;
            _ = database.OutsideWork(_query.BeginAsync);
        }
        catch (Exception error) when (error is StorageException or ObjectDisposedException)
        {
            _error = error; // it stopped or was closed before
        }
    }

    private async Task RunAsync(LiveQuery<TRow> query, DataSyncDatabase database)
    {
        try
        {
            await database.OutsideWork(() => query.SetParametersAsync(Parameters)).ConfigureAwait(true);
        }
        catch (ObjectDisposedException) when (query == _query)
        {
            _error = new ObjectDisposedException(database.Name, "The database was closed in this tab. Open it again.");
            StateHasChanged();
        }
#pragma warning disable CA1031 // The query tells of it.
        catch (Exception)
#pragma warning restore CA1031
        {
        }
    }

    // From here on its news are not heard.
    private LiveQuery<TRow>? Detach()
    {
        if (_query is not { } query) return null;
        _query = null;
        query.Changed -= OnChanged;
        return query;
    }

    private void OnChanged(object? sender, LiveChangedEventArgs<TRow> e) => _ = InvokeAsync(() => Show((LiveQuery<TRow>)sender!));

    // What the query says now, not what it said: calls that wait for the renderer can be overtaken by one that need not.
    private void Show(LiveQuery<TRow> query)
    {
        if (query != _query) return; // of an older text or database
        (_rows, _error) = (query.Current, query.Error);
        StateHasChanged();
    }

    // By hand, since the markup knows public components only.
    private void RenderRows(RenderTreeBuilder builder)
    {
        foreach (var row in _rows!)
        {
            builder.OpenComponent<LiveRowView<TRow>>(0);
            builder.SetKey(KeyOf(row));
            builder.AddComponentParameter(1, nameof(LiveRowView<>.Row), row);
            builder.AddComponentParameter(2, nameof(LiveRowView<>.Content), Row);
            builder.AddComponentParameter(3, nameof(LiveRowView<>.Generation), _generation);
            builder.CloseComponent();
        }
    }

    private object? KeyOf(TRow row) => Key is null ? RowReference.Of(row) : Key(row);

    private readonly record struct Source(DataSyncDatabase? Database, string? Sql, bool HasKey);
}
