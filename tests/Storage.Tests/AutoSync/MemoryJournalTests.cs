using DataSync.Contracts;
using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests.AutoSync;

#pragma warning disable CA1001 // A journal in memory has nothing to dispose of.
public sealed class MemoryJournalTests : JournalContract
#pragma warning restore CA1001
{
    private readonly MemoryJournal _journal = new();

    [Fact]
    public async Task Without_locks_each_that_opens_is_given_all_there_is()
    {
        var journal = new MemoryJournal(hasLocks: false);
        for (var i = 0; i < 3; i++)
        {
            var tab = journal.NewTab();
            var queue = TabId.New(TimeProvider.System);
            Assert.Equal(i, (await tab.OpenAsync(queue, inherits: true, default)).Count);
            await tab.AppendAsync(new(queue, 1, [1]));
        }
    }

    private protected override IDeferredJournal NewJournal() => _journal.NewTab();
}
