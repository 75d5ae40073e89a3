using DataSync.Contracts;
using DataSync.Coordination;
using DataSync.Storage;
using Xunit;

namespace DataSync.Lab;

public sealed class IndexedDbJournals : JournalContract
{
    private readonly string _scope = "lab-" + Guid.NewGuid().ToString("N");

    private string Database => "datasync-outbox:" + _scope;

    public override Task InitializeAsync() => IndexedDbSource.LoadAsync();

    private protected override IDeferredJournal NewJournal() => new IndexedDbJournal(_scope, TimeProvider.System, TimeSpan.FromMilliseconds(50));

    protected override Task RemoveAsync() => IndexedDbSource.RemoveAsync(Database);

    [Fact]
    public async Task A_database_that_was_deleted_under_it_is_made_anew()
    {
        var tab = TabId.New(TimeProvider.System);
        var (journal, _) = await OpenAsync(tab);
        await journal.AppendAsync(new(tab, 1, [1]));
        await IndexedDbSource.RemoveAsync(Database);
        await journal.AppendAsync(new(tab, 2, [2]));
        await journal.DisposeAsync();
        Assert.Equal(2, Assert.Single(await FindAsync()).Number);
    }

    [Fact]
    public async Task What_there_is_no_room_for_is_not_there()
    {
        var tab = TabId.New(TimeProvider.System);
        var (journal, _) = await OpenAsync(tab);
        IndexedDbSource.AbortWith("QuotaExceededError");
        try
        {
            await Assert.ThrowsAsync<StorageQuotaException>(() => journal.AppendAsync(new(tab, 1, [1])).AsTask());
        }
        finally
        {
            IndexedDbSource.StopAborting();
        }

        await journal.DisposeAsync();
        Assert.Empty(await FindAsync());
    }
}
