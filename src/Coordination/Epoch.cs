namespace DataSync.Coordination;

/// <summary>Placeholder until the coordination branch lands.</summary>
public readonly record struct Epoch(long Value);
