using System.Runtime.CompilerServices;
using DataSync.Vfs;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Rendering;

namespace DataSync.Blazor;

/// <summary>One row of a <see cref="Live{TRow}"/>: rendered again when the row is another, or when the component around the list was rendered, on which the template may depend.</summary>
internal sealed class LiveRowView<TRow> : ComponentBase
{
    private (TRow Row, int Generation) _shown;

    [Parameter, EditorRequired]
    public required TRow Row { get; set; }

    [Parameter, EditorRequired]
    public required RenderFragment<TRow> Content { get; set; }

    /// <summary>Another one each time the component around the list was rendered.</summary>
    [Parameter]
    public int Generation { get; set; }

    protected override bool ShouldRender() => Generation != _shown.Generation || !LiveQuery<TRow>.IsSame(Row, _shown.Row);

    protected override void BuildRenderTree(RenderTreeBuilder builder)
    {
        _shown = (Row, Generation);
        builder.AddContent(0, Content, Row);
    }
}

/// <summary>A row as its own key: by what it is, not by its values, which two rows may share.</summary>
internal readonly struct RowReference : IEquatable<RowReference>
{
    private readonly object _row;

    private RowReference(object row) => _row = row;

    /// <summary>Null: nothing tells this row from its neighbours. Of two texts or values alike there may be only one object.</summary>
    public static object? Of<TRow>(TRow row) => row is null || typeof(TRow).IsValueType || ColumnReader.IsScalar(typeof(TRow)) ? null : new RowReference(row);

    public bool Equals(RowReference other) => ReferenceEquals(_row, other._row);

    public override bool Equals(object? other) => other is RowReference row && Equals(row);

    public override int GetHashCode() => RuntimeHelpers.GetHashCode(_row);
}
