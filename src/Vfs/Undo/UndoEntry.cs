using DataSync.Coordination;

namespace DataSync.Vfs;

/// <summary>A unit of work that can be undone, or, where it was undone, redone.</summary>
/// <param name="Id">Rises from unit to unit, over all tabs; an id is not given twice.</param>
/// <param name="Name">As the unit was named.</param>
/// <param name="Time">Of its first write, in UTC, to the millisecond, by the clock of the tab that made it.</param>
/// <param name="Tab">The tab that made it; it need not be open any more.</param>
/// <param name="IsUndone">Whether it was undone and can be redone.</param>
public sealed record UndoEntry(long Id, string Name, DateTimeOffset Time, TabId Tab, bool IsUndone);
