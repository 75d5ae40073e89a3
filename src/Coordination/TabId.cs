namespace DataSync.Coordination;

/// <summary>Placeholder until the coordination branch lands.</summary>
public readonly record struct TabId(Guid Value)
{

    /// <inheritdoc/>
    public override string ToString() => Value.ToString("D");
}
