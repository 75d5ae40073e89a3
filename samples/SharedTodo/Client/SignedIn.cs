namespace DataSync.SharedTodo.Client;

/// <summary>Who uses this tab; empty until it is known.</summary>
internal sealed class SignedIn
{
    public string Name { get; set; } = "";
}
