namespace DataSync.Storage;

/// <summary>Placeholder until the store branch lands.</summary>
public static class Recovery
{
}
