using System.Text;
using DataSync.Storage;
using Xunit;

namespace DataSync.Contracts;

/// <summary>What a damaged or missing head means, and deleting what cannot be opened, whatever the store.</summary>
public abstract class HeadContract : StoreSuite
{
    private static readonly RecoveryOptions Fail = new(), Report = new(Action: CorruptionAction.Report), Repair = new(Action: CorruptionAction.Repair);

    [Theory]
    [InlineData("\"epoch\":1", "\"epoch\":0")]
    [InlineData("\"epoch\":1", "\"epoch\":7")]
    [InlineData("\"format\":3", "\"format\":9")]
    [InlineData("\"marker\":0", "\"marker\":2")]
    [InlineData("\"incarnation\":\"", "\"incarnation\":\"x")]
    [InlineData("\"epoch\":1", null)]
    public async Task A_damaged_head_is_reported_and_mended_from_its_copy_on_request_with_nothing_lost(string part, string? damage)
    {
        var (old, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 3);
        await old.AppendAsync(fence, chain, None);
        var sound = await GetRecordAsync(StoreRecordKind.Head, 0);
        var damaged = damage is null ? null : Encoding.UTF8.GetBytes(Encoding.UTF8.GetString(sound!).Replace(part, damage, StringComparison.Ordinal));
        Assert.NotEqual(sound, damaged);
        await SetRecordAsync(StoreRecordKind.Head, 0, damaged);

        var (store, head) = await OpenAsync();
        Assert.Equal(fence, new Fence(head.Incarnation, head.Epoch));
        var error = await Assert.ThrowsAsync<CorruptStoreException>(async () => await Recovery.LoadAsync(store, head, Fail, None));
        var finding = Assert.Single(error.Report!.Findings);
        Assert.Equal((RecoveryFindingKind.CorruptHead, "head"), (finding.Kind, finding.Where));
        foreach (var advice in new[] { "Export", "Repair", "delete" }) Assert.Contains(advice, error.Message, StringComparison.Ordinal);
        Assert.True((await Recovery.VerifyAsync(store)).IsCorrupt);
        var reported = await Recovery.LoadAsync(store, head, Report, None);
        using (reported.Image) Assert.Equal((chain[2].Position, true), (reported.Image.Position, reported.Report.IsCorrupt));
        Assert.Equal(damaged, await GetRecordAsync(StoreRecordKind.Head, 0));

        // Whoever leads writes it anew.
        var raised = await store.RaiseEpochAsync(head.Incarnation, default, Tab, None);
        Assert.Equal(fence.Epoch.Next, raised.Epoch);
        Assert.Equal(await GetRecordAsync(StoreRecordKind.Head, 0), await GetRecordAsync(StoreRecordKind.HeadCopy, 0));
        var repaired = await Recovery.LoadAsync(store, raised, Repair, None);
        using (repaired.Image) Assert.Equal((chain[2].Position, 0), (repaired.Image.Position, repaired.Report.Findings.Count));
        await Assert.ThrowsAsync<FencedException>(async () => await old.AppendAsync(fence, Chain(fence, chain[2].Position, 1), None));
        var next = new Fence(raised.Incarnation, raised.Epoch);
        await store.AppendAsync(next, Chain(next, chain[2].Position, 1), None);
        Assert.Equal([1, 2, 3, 4], (await StoreContent.ReadAsync(store)).Markers);
    }

    [Fact]
    public async Task A_checkpoint_writes_a_damaged_head_anew()
    {
        var (store, fence) = await LeadAsync();
        var chain = Chain(fence, Position.Start, 2);
        await store.AppendAsync(fence, chain, None);
        var head = await HeadAtAsync(store, chain[1].Position, chain[1].FileSize);
        var text = Encoding.UTF8.GetString((await GetRecordAsync(StoreRecordKind.Head, 0))!);
        await SetRecordAsync(StoreRecordKind.Head, 0, Encoding.UTF8.GetBytes(text.Replace("\"fileSize\":0", "\"fileSize\":1", StringComparison.Ordinal)));
        await store.CheckpointAsync(fence, new Checkpoint(head, []), None);
        Assert.Empty((await Recovery.VerifyAsync(store)).Findings);
        Assert.Equal(await GetRecordAsync(StoreRecordKind.Head, 0), await GetRecordAsync(StoreRecordKind.HeadCopy, 0));
    }

    [Fact]
    public async Task A_damaged_copy_harms_nobody_and_is_written_anew_with_the_next_head()
    {
        var (store, fence) = await LeadAsync();
        await SetRecordAsync(StoreRecordKind.HeadCopy, 0, "{}"u8.ToArray());
        Assert.Empty((await Recovery.VerifyAsync(store)).Findings);
        await store.RaiseEpochAsync(fence.Incarnation, default, Tab, None);
        Assert.Equal(await GetRecordAsync(StoreRecordKind.Head, 0), await GetRecordAsync(StoreRecordKind.HeadCopy, 0));
    }

    [Fact]
    public async Task A_store_of_a_newer_format_is_not_opened_but_deleted_on_request()
    {
        var (store, fence) = await LeadAsync();
        await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None);
        await store.DisposeAsync();
        var text = Encoding.UTF8.GetString((await GetRecordAsync(StoreRecordKind.Head, 0))!);
        var newer = Encoding.UTF8.GetBytes(text.Replace("\"format\":3", "\"format\":4", StringComparison.Ordinal));
        foreach (var kind in new[] { StoreRecordKind.Head, StoreRecordKind.HeadCopy }) await SetRecordAsync(kind, 0, newer);
        Assert.Equal(4, (await Assert.ThrowsAsync<StoreFormatException>(OpenAsync)).Found);
        Assert.Equal(newer, await GetRecordAsync(StoreRecordKind.Head, 0));
        await AssertDeletedAsync(fence);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_store_whose_head_and_copy_are_damaged_or_gone_is_not_opened_nor_taken_for_a_new_one_but_deleted_on_request(bool isGone)
    {
        var (store, fence) = await LeadAsync();
        await store.AppendAsync(fence, Chain(fence, Position.Start, 1), None);
        await store.DisposeAsync();
        var damaged = isGone ? null : "{}"u8.ToArray();
        foreach (var kind in new[] { StoreRecordKind.Head, StoreRecordKind.HeadCopy }) await SetRecordAsync(kind, 0, damaged);
        var error = await Assert.ThrowsAsync<CorruptStoreException>(OpenAsync);
        Assert.Contains("Delete the database", error.Message, StringComparison.Ordinal);
        Assert.Equal(damaged, await GetRecordAsync(StoreRecordKind.Head, 0));
        Assert.NotNull(await GetRecordAsync(StoreRecordKind.Log, 1));
        await AssertDeletedAsync(fence);
    }

    [Fact]
    public async Task A_store_is_deleted_without_being_opened_and_closes_for_those_that_have_it_open()
    {
        var (other, fence) = await LeadAsync();
        var closed = new TaskCompletionSource<StoreClosedReason>(TaskCreationOptions.RunContinuationsAsynchronously);
        other.Closed += reason => closed.SetResult(reason);
        await AssertDeletedAsync(fence);
        Assert.Equal(StoreClosedReason.Deleted, await closed.Task.WaitAsync(TimeSpan.FromSeconds(10)));
    }

    /// <summary>Deletes without opening, twice: the second time there is nothing, which is no error. Afterwards there is a new, empty store.</summary>
    private async Task AssertDeletedAsync(Fence fence)
    {
        for (var i = 0; i < 2; i++)
        {
            await using var eraser = NewStore();
            await eraser.DeleteAsync(None);
        }

        var (store, head) = await OpenAsync();
        Assert.NotEqual(fence.Incarnation, head.Incarnation);
        Assert.Empty((await StoreContent.ReadAsync(store)).Log);
    }
}
