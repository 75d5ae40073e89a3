using System.Globalization;
using System.Runtime.InteropServices.JavaScript;
using System.Text;
using DataSync.Contracts;
using DataSync.Storage;

namespace DataSync.Lab;

/// <summary>How long the IndexedDB store takes, from the call in C# to its continuation; offered to the page as <c>lab.time()</c>.</summary>
public sealed partial class StoreTimings : StoreSuite
{
    private readonly IndexedDbSource _source = new();
    private readonly StringBuilder _report = new();
    private StorageDurability _durability;

    [JSExport]
    internal static async Task<string> Run()
    {
        var timings = new StoreTimings();
        await timings.InitializeAsync();
        foreach (var durability in Enum.GetValues<StorageDurability>()) await timings.TimeAppendsAsync(durability);
        await timings.TimeLoadAsync();
        await timings.DisposeAsync();
        return timings._report.ToString();
    }

    private protected override IStoreSource Source => _source;

    private protected override IBlockStore NewStore() => _source.NewStore(new() { Durability = _durability });

    private async Task TimeAppendsAsync(StorageDurability durability)
    {
        _durability = durability;
        var (store, fence) = await LeadAsync();
        var position = (await StoreContent.ReadAsync(store)).Head.Checkpoint;

        // The first hundred of each warm up the interpreter.
        foreach (var (commits, blocks) in new[] { (1, 1), (1, 3), (10, 1), (1, 30) })
        {
            var times = new List<double>();
            for (var i = -100; i < 300; i++)
            {
                var group = new List<CommitRecord>();
                for (var c = 0; c < commits; c++)
                {
                    group.Add(Commit(fence, position, [.. Enumerable.Range(0, blocks).Select(id => (uint)id)]));
                    position = group[^1].Position;
                }

                var start = TimeProvider.System.GetTimestamp();
                await store.AppendAsync(fence, group, None);
                if (i >= 0) times.Add(TimeProvider.System.GetElapsedTime(start).TotalMilliseconds);
            }

            Report(string.Create(CultureInfo.InvariantCulture, $"append {durability}, {commits} commit(s) of {blocks} block(s)"), times);
            var head = await HeadAtAsync(store, position, 4096, [.. Enumerable.Range(0, 256).Select(_ => CommitId.New())]);
            await store.CheckpointAsync(fence, new(head, []), None);
        }
    }

    private async Task TimeLoadAsync()
    {
        _durability = StorageDurability.Relaxed;
        var (store, fence) = await LeadAsync();
        int[] all = [.. Enumerable.Range(0, 64)];
        var extents = Enumerable.Range(0, 200).Select(index => MakeExtent(fence, index, 0, all)).ToList();
        var head = (await StoreContent.ReadAsync(store)).Head;
        var start = TimeProvider.System.GetTimestamp();
        await store.CheckpointAsync(fence, new(head with { FileSize = 200L * Extent.DataSize }, extents), None);
        Report("checkpoint of 50 MB", [TimeProvider.System.GetElapsedTime(start).TotalMilliseconds]);
        extents.ForEach(extent => extent.Dispose());
        foreach (var mode in Enum.GetValues<RecoveryMode>())
        {
            var times = new List<double>();
            for (var i = 0; i < 5; i++)
            {
                start = TimeProvider.System.GetTimestamp();
                using var image = (await Recovery.LoadAsync(store, null, new(mode), None)).Image;
                times.Add(TimeProvider.System.GetElapsedTime(start).TotalMilliseconds);
            }

            Report($"load of 50 MB, {mode}", times);
        }
    }

    private void Report(string what, List<double> times)
    {
        times.Sort();
        _report.AppendLine(CultureInfo.InvariantCulture, $"{what}: median {times[times.Count / 2]:0.00} ms, 95 % {times[times.Count * 95 / 100]:0.00} ms");
    }
}
