using DataSync.Contracts;

namespace DataSync.Storage.Tests.AutoSync;

#pragma warning disable CA1001 // A journal in memory has nothing to dispose of.
public sealed class MemoryJournalTests : JournalContract
#pragma warning restore CA1001
{
    private readonly MemoryJournal _journal = new();

    private protected override IDeferredJournal NewJournal() => _journal;
}
