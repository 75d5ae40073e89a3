namespace DataSync.Blazor.Tests;

public sealed record Todo(long Id, string Text);
