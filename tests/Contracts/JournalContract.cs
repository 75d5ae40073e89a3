using DataSync.Coordination;
using DataSync.Storage;
using Xunit;

namespace DataSync.Contracts;

/// <summary>What every journal of deferred writes must do.</summary>
public abstract class JournalContract : IAsyncLifetime
{
    private static readonly TabId First = TabId.Parse("01900000-0000-7000-8000-000000000001"), Second = TabId.Parse("01900000-0000-7000-8000-000000000002");

    private readonly List<IDeferredJournal> _journals = [];

    private protected abstract IDeferredJournal NewJournal();

    /// <summary>Removes what this test has made.</summary>
    protected virtual Task RemoveAsync() => Task.CompletedTask;

    public virtual Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (var journal in _journals) await journal.DisposeAsync();
        await RemoveAsync();
    }

    [Fact]
    public async Task It_begins_empty()
    {
        var (_, entries) = await OpenAsync();
        Assert.Empty(entries);
    }

    [Fact]
    public async Task The_next_opening_finds_what_was_added_the_oldest_queue_first_and_each_in_its_order()
    {
        var (journal, _) = await OpenAsync();
        await journal.AppendAsync(new(Second, 1, [1]));
        foreach (var number in new long[] { 1, 2, 10, 9_007_199_254_740_991 }) await journal.AppendAsync(new(First, number, [(byte)number, 0, 255]));
        await journal.DisposeAsync();
        var (_, found) = await OpenAsync();
        Assert.Equal([(First, 1L), (First, 2), (First, 10), (First, 9_007_199_254_740_991), (Second, 1)], found.Select(entry => (entry.Queue, entry.Number)));
        Assert.Equal([10, 0, 255], found[2].Body);
    }

    [Fact]
    public async Task What_is_taken_out_is_gone_and_what_is_not_there_is_no_error()
    {
        var (journal, _) = await OpenAsync();
        for (var i = 1; i <= 5; i++) await journal.AppendAsync(new(First, i, [1]));
        await journal.RemoveAsync([new(First, 2, []), new(First, 4, []), new(Second, 1, [])]);
        await journal.RemoveAsync([new(First, 4, [])]);
        await journal.RemoveAsync([]);
        Assert.Equal([1L, 3, 5], (await OpenAsync()).Entries.Select(entry => entry.Number));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5_000_000)]
    public async Task Bytes_come_back_as_they_were_whatever_their_number(int length)
    {
        var bytes = new byte[length];
        new Random(1).NextBytes(bytes);
        var (journal, _) = await OpenAsync();
        await journal.AppendAsync(new(First, 1, bytes));
        Assert.Equal(bytes, Assert.Single((await OpenAsync()).Entries).Body);
    }

    [Fact]
    public async Task Several_tabs_use_it_at_once()
    {
        var (one, _) = await OpenAsync();
        var (two, _) = await OpenAsync();
        await Task.WhenAll(Enumerable.Range(1, 20).Select(i => (i % 2 == 0 ? one : two).AppendAsync(new(i % 2 == 0 ? First : Second, i, [(byte)i])).AsTask()));
        await two.RemoveAsync([new(First, 2, [])]);
        await one.DisposeAsync();
        await two.AppendAsync(new(Second, 21, [21]));
        Assert.Equal(20, (await OpenAsync()).Entries.Count);
    }

    private protected async Task<(IDeferredJournal Journal, IReadOnlyList<JournalEntry> Entries)> OpenAsync()
    {
        var journal = NewJournal();
        _journals.Add(journal);
        return (journal, await journal.OpenAsync(CancellationToken.None));
    }
}
