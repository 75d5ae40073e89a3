using System.Diagnostics;
using System.Globalization;
using Xunit;

namespace DataSync.Storage.Tests.Files;

/// <summary>Other processes: one that holds the store, and one that is killed in the middle of what it does.</summary>
public sealed class ProcessTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private readonly FileSource _source = new();

    [Fact]
    public async Task A_second_process_is_kept_out_and_told_who_holds_the_store()
    {
        using var child = ChildProcess.Start("hold", _source);
        try
        {
            Assert.Equal("open", await child.StandardOutput.ReadLineAsync().WaitAsync(Patience));
            await using var store = _source.NewStore();
            var error = await Assert.ThrowsAsync<StoreInUseException>(async () => await store.OpenAsync(default));
            Assert.Equal((child.Id, _source.Directory), (error.ProcessId, error.Directory));
            Assert.Contains(child.Id.ToString(CultureInfo.InvariantCulture), error.Message, StringComparison.Ordinal);
            Assert.Equal(StorageErrorCode.InUse, error.Code);

            // The lock goes with the process, however it ends.
            child.Kill();
            await child.WaitForExitAsync().WaitAsync(Patience);
            await store.OpenAsync(default);
        }
        finally
        {
            if (!child.HasExited) child.Kill();
        }
    }

    [Fact]
    public async Task A_hundred_killed_processes_lose_nothing_that_they_acknowledged()
    {
        var random = new Random(1);
        var (last, fullest) = (0L, 0);
        for (var round = 0; round < 100; round++)
        {
            using var child = ChildProcess.Start("write", _source, round);
            var acknowledged = await RunUntilKilledAsync(child, random.Next(1, 12));
            Assert.True(acknowledged > last, $"Round {round} acknowledged nothing behind marker {last}.");
            last = await AssertHoldsAsync(acknowledged, round);
            fullest = Math.Max(fullest, Directory.GetFiles(Path.Combine(_source.Directory, "log")).Length);
        }

        Assert.True(fullest > 1);
    }

    public void Dispose() => _source.Remove();

    /// <summary>Kills the process when it has acknowledged so many groups, whatever it does then; returns the last marker that came through.</summary>
    private static async Task<long> RunUntilKilledAsync(Process child, int groups)
    {
        var acknowledged = 0L;
        try
        {
            while (await child.StandardOutput.ReadLineAsync().WaitAsync(Patience) is { } line)
            {
                if (!line.EndsWith(';')) continue; // cut off by the kill
                acknowledged = long.Parse(line.AsSpan(0, line.Length - 1), CultureInfo.InvariantCulture);
                if (--groups == 0) child.Kill();
            }
        }
        finally
        {
            if (!child.HasExited) child.Kill();
        }

        await child.WaitForExitAsync().WaitAsync(Patience);
        return acknowledged;
    }

    private async Task<long> AssertHoldsAsync(long acknowledged, int round)
    {
        await using var store = _source.NewStore();
        var head = await store.OpenAsync(default);
        var recovered = await Recovery.LoadAsync(store, head, new(), default);
        using var image = recovered.Image;
        Assert.Empty(recovered.Report.Findings);
        var marker = image.Position.Marker;
        Assert.InRange(marker, acknowledged, acknowledged + 3);
        Assert.Equal(head.Epoch.Value, round + 1);
        var expected = new byte[Extent.BlockSize];
        foreach (var (id, writer) in ChildProcess.Expect(marker))
        {
            ChildProcess.FillBlock(expected, id, writer);
            var extent = image.Find((int)(id / Extent.BlockCount))!;
            Assert.Equal(writer, extent[(int)(id % Extent.BlockCount)].Version);
            Assert.True(extent.Block((int)(id % Extent.BlockCount)).SequenceEqual(expected), $"Block {id} at marker {marker}.");
        }

        return marker;
    }
}
