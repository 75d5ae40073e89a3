using DataSync.Coordination;
using DataSync.Storage;
using Xunit;

namespace DataSync.Contracts;

/// <summary>What every journal of deferred writes must do.</summary>
public abstract class JournalContract : IAsyncLifetime
{
    private static readonly TabId First = TabId.Parse("01900000-0000-7000-8000-000000000001"), Second = TabId.Parse("01900000-0000-7000-8000-000000000002"),
        Third = TabId.Parse("01900000-0000-7000-8000-000000000003"), Fourth = TabId.Parse("01900000-0000-7000-8000-000000000004");

    /// <summary>Nothing here takes long.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly List<IDeferredJournal> _journals = [];

    /// <summary>The journal of another tab.</summary>
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
        var (_, entries) = await OpenAsync(First);
        Assert.Empty(entries);
    }

    [Fact]
    public async Task The_next_opening_finds_what_was_added_the_oldest_queue_first_and_each_in_its_order()
    {
        var (second, _) = await OpenAsync(Second);
        var (first, _) = await OpenAsync(First);
        await second.AppendAsync(new(Second, 1, [1]));
        foreach (var number in new long[] { 1, 2, 10, 9_007_199_254_740_991 }) await first.AppendAsync(new(First, number, [(byte)number, 0, 255]));
        await first.DisposeAsync();
        await second.DisposeAsync();
        var found = await FindAsync();
        Assert.Equal([(First, 1L), (First, 2), (First, 10), (First, 9_007_199_254_740_991), (Second, 1)], found.Select(entry => (entry.Queue, entry.Number)));
        Assert.Equal([10, 0, 255], found[2].Body);
    }

    [Fact]
    public async Task What_is_taken_out_is_gone_and_what_is_not_there_is_no_error()
    {
        var (journal, _) = await OpenAsync(First);
        for (var i = 1; i <= 5; i++) await journal.AppendAsync(new(First, i, [1]));
        await journal.RemoveAsync([new(First, 2, []), new(First, 4, []), new(Second, 1, [])]);
        await journal.RemoveAsync([new(First, 4, [])]);
        await journal.RemoveAsync([]);
        await journal.DisposeAsync();
        Assert.Equal([1L, 3, 5], (await FindAsync()).Select(entry => entry.Number));
    }

    [Fact]
    public async Task What_is_replaced_keeps_its_place()
    {
        var (journal, _) = await OpenAsync(First);
        for (var i = 1; i <= 3; i++) await journal.AppendAsync(new(First, i, [(byte)i]));
        await journal.ReplaceAsync(new(First, 2, [7, 8]));
        await journal.DisposeAsync();
        Assert.Equal<byte[]>([[1], [7, 8], [3]], (await FindAsync()).Select(entry => entry.Body));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(5_000_000)]
    public async Task Bytes_come_back_as_they_were_whatever_their_number(int length)
    {
        var bytes = new byte[length];
        new Random(1).NextBytes(bytes);
        var (journal, _) = await OpenAsync(First);
        await journal.AppendAsync(new(First, 1, bytes));
        await journal.DisposeAsync();
        Assert.Equal(bytes, Assert.Single(await FindAsync()).Body);
    }

    [Fact]
    public async Task Several_tabs_use_it_at_once()
    {
        var (one, _) = await OpenAsync(First);
        var (two, _) = await OpenAsync(Second);
        await Task.WhenAll(Enumerable.Range(1, 20).Select(i => (i % 2 == 0 ? one : two).AppendAsync(new(i % 2 == 0 ? First : Second, i, [(byte)i])).AsTask()));
        await one.RemoveAsync([new(First, 2, [])]);
        await one.DisposeAsync();
        await two.AppendAsync(new(Second, 21, [21]));
        await two.DisposeAsync();
        Assert.Equal(20, (await FindAsync()).Count);
    }

    [Fact]
    public async Task What_an_open_tab_has_added_nobody_is_given()
    {
        var (heir, _) = await OpenAsync(First);
        await heir.AppendAsync(new(First, 1, [1]));
        var (other, found) = await OpenAsync(Second);
        Assert.Empty(found);
        await other.AppendAsync(new(Second, 1, [1]));
        Assert.Empty((await OpenAsync(Third)).Entries);
        var left = heir.WaitForLeftAsync().AsTask();
        var (gone, _) = await OpenAsync(Fourth);
        await gone.AppendAsync(new(Fourth, 1, [1]));
        await gone.DisposeAsync(); // what it has left is given, and nothing else
        Assert.Equal([Fourth], (await left.WaitAsync(Patience)).Select(entry => entry.Queue));
    }

    /// <summary>Those that were there when it was opened, and those that came later; as they are when their tab ends.</summary>
    [Fact]
    public async Task What_a_tab_leaves_is_given_to_the_one_that_was_opened_first_and_once()
    {
        var (heir, _) = await OpenAsync(Second);
        var (other, _) = await OpenAsync(Third);
        await using var later = (await OpenAsync(Fourth)).Journal;
        var nothing = later.WaitForLeftAsync().AsTask();
        await other.AppendAsync(new(Third, 1, [1]));
        await other.AppendAsync(new(Third, 2, [2]));
        var left = heir.WaitForLeftAsync().AsTask();
        await other.RemoveAsync([new(Third, 1, [])]);
        await other.ReplaceAsync(new(Third, 2, [3]));
        await other.DisposeAsync();
        var entry = Assert.Single(await left.WaitAsync(Patience));
        Assert.Equal((Third, 2L, (byte)3), (entry.Queue, entry.Number, entry.Body.Single()));
        left = heir.WaitForLeftAsync().AsTask();
        var (newest, found) = await OpenAsync(First);
        Assert.Empty(found);
        await newest.AppendAsync(new(First, 1, [1]));
        await newest.DisposeAsync();
        Assert.Equal([First], (await left.WaitAsync(Patience)).Select(one => one.Queue));
        Assert.False(nothing.IsCompleted);
    }

    [Fact]
    public async Task When_the_heir_ends_the_next_one_is_given_all_that_is_left()
    {
        var (heir, _) = await OpenAsync(First);
        var (other, _) = await OpenAsync(Second);
        await other.AppendAsync(new(Second, 1, [1]));
        await other.AppendAsync(new(Second, 2, [1]));
        var left = heir.WaitForLeftAsync().AsTask();
        await other.DisposeAsync();
        Assert.Equal(2, (await left.WaitAsync(Patience)).Count);
        await heir.RemoveAsync([new(Second, 1, [])]);
        await heir.AppendAsync(new(First, 5, [1]));
        var (reader, _) = await OpenAsync(Fourth, inherits: false);
        var (next, found) = await OpenAsync(Third);
        Assert.Empty(found); // the heir has it under way
        left = next.WaitForLeftAsync().AsTask();
        await heir.DisposeAsync();
        Assert.Equal([(First, 5L), (Second, 2)], (await left.WaitAsync(Patience)).Select(entry => (entry.Queue, entry.Number)));
        var nothing = reader.WaitForLeftAsync().AsTask();
        await next.DisposeAsync();
        Assert.Equal([(First, 5L), (Second, 2)], (await FindAsync()).Select(entry => (entry.Queue, entry.Number))); // one that cannot run it is in nobody's way
        Assert.False(nothing.IsCompleted);
    }

    [Fact]
    public async Task Whoever_waits_is_told_when_it_is_disposed_and_again_is_no_error()
    {
        var (heir, _) = await OpenAsync(First);
        var (next, _) = await OpenAsync(Second);
        foreach (var journal in new[] { next, heir })
        {
            var left = journal.WaitForLeftAsync().AsTask();
            await journal.DisposeAsync();
            await journal.DisposeAsync();
            Assert.Empty(await left.WaitAsync(Patience));
            Assert.Empty(await journal.WaitForLeftAsync().AsTask().WaitAsync(Patience));
        }

        await NewJournal().DisposeAsync(); // never opened
        var (last, _) = await OpenAsync(Third);
        await last.AppendAsync(new(Third, 1, [1]));
        await last.DisposeAsync();
        Assert.Single(await FindAsync());
    }

    private protected async Task<(IDeferredJournal Journal, IReadOnlyList<JournalEntry> Entries)> OpenAsync(TabId queue, bool inherits = true)
    {
        var journal = NewJournal();
        _journals.Add(journal);
        return (journal, await journal.OpenAsync(queue, inherits, CancellationToken.None));
    }

    /// <summary>What a tab finds that opens now, and is alone but for such as inherit nothing.</summary>
    private protected async Task<IReadOnlyList<JournalEntry>> FindAsync()
    {
        var (journal, found) = await OpenAsync(TabId.New(TimeProvider.System));

        // A lock that was let go a moment ago may not be free yet.
        if (found.Count == 0 && await Task.WhenAny(journal.WaitForLeftAsync().AsTask(), Task.Delay(500)) is Task<IReadOnlyList<JournalEntry>> left) found = await left;
        return found;
    }
}
