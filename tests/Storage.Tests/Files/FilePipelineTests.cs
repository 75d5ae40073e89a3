using DataSync.Coordination;
using DataSync.Storage.Tests.Pipeline;
using Xunit;

namespace DataSync.Storage.Tests.Files;

/// <summary>The pipeline natively: real files, real threads, the real clock.</summary>
public sealed class FilePipelineTests : IDisposable
{
    private const int ListStart = Extent.BlockSize;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private readonly FileSource _source = new();
    private readonly InMemoryBrowser _browser = new();
    private readonly InMemoryCommitBus _bus = new();

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Many_threads_write_through_pipelines_and_nothing_is_lost_or_doubled(int tabs)
    {
        const int Threads = 4, Writes = 20;
        var pipelines = new List<(CommitPipeline Pipeline, TabCoordinator Coordinator)>();
        for (var i = 0; i < tabs; i++) pipelines.Add(await OpenAsync());
        using var reading = new CancellationTokenSource();
        var readers = pipelines.ConvertAll(tab => Task.Run(() => ReadUntil(tab.Pipeline, reading.Token)));
        var writers = new List<Task>();
        for (var tab = 0; tab < tabs; tab++)
        {
            for (var thread = 0; thread < Threads; thread++)
            {
                var (pipeline, first) = (pipelines[tab].Pipeline, (ulong)((tab * Threads + thread) * Writes));
                writers.Add(Task.Run(async () =>
                {
                    for (var i = 0; i < Writes; i++) await AppendAsync(pipeline, first + (ulong)i);
                }));
            }
        }

        await Task.WhenAll(writers).WaitAsync(Patience);
        await reading.CancelAsync();
        await Task.WhenAll(readers).WaitAsync(Patience);
        foreach (var (pipeline, coordinator) in pipelines)
        {
            Assert.Null(pipeline.Fault);
            await pipeline.DisposeAsync();
            await coordinator.DisposeAsync();
        }

        await using var store = _source.NewStore();
        var head = await store.OpenAsync(default);
        using var image = (await Recovery.LoadAsync(store, head, new(), default)).Image;
        var list = Pipeline.ClusterTab.ReadList(image);
        Assert.Equal(Enumerable.Range(0, tabs * Threads * Writes).Select(i => (ulong)i), list.Order());
        Assert.Equal(list.Count, image.Position.Marker);
        for (var thread = 0UL; thread < (ulong)(tabs * Threads); thread++)
            Assert.Equal(list.Where(tag => tag / Writes == thread).Order(), list.Where(tag => tag / Writes == thread));
    }

    [Theory]
    [InlineData(5, false, 1)]
    [InlineData(5, true, 2)]
    [InlineData(28, false, 3)]
    public async Task An_error_at_any_step_of_the_disk_fails_a_write_or_is_survived_and_every_writer_is_told_the_truth(int error, bool afterwards, int first)
    {
        // The first commits and a checkpoint: each error costs a new election, in real time.
        for (var step = first; step < 24; step += 3)
        {
            var disk = new SimulatedDisk { Failure = new IOException("Simulated.", error), FailsAfterwards = afterwards, FailsBelow = "/simulated/app.db" };
            var (pipeline, coordinator) = await OpenAsync(new FileBlockStore(FileSource.Name, new() { BaseDirectory = "/simulated" }, null, disk), checkpointRecords: 3);
            await AppendAsync(pipeline, 0).WaitAsync(Patience);
            disk.FailAt = disk.Steps + step;
            var written = new List<ulong> { 0 };
            for (var tag = 1UL; tag <= 6; tag++)
            {
                try
                {
                    await AppendAsync(pipeline, tag).WaitAsync(Patience);
                    written.Add(tag);
                }
                catch (StorageException)
                {
                    Assert.True(disk.HasFired);
                }
            }

            disk.FailAt = 0;
            Assert.Null(pipeline.Fault);
            Assert.True(written.Count >= 6, $"{written.Count} of 7 written with an error at step {step}.");
            Assert.Equal(written, Pipeline.ClusterTab.ReadList(pipeline.Storage));
            await pipeline.DisposeAsync();
            await coordinator.DisposeAsync();
            await using var store = new FileBlockStore(FileSource.Name, new() { BaseDirectory = "/simulated" }, null, disk);
            var head = await store.OpenAsync(default);
            using var image = (await Recovery.LoadAsync(store, head, new(), default)).Image;
            Assert.Equal(written, Pipeline.ClusterTab.ReadList(image));
            Assert.True(disk.HasFired);
        }
    }

    [Fact]
    public async Task A_pipeline_opened_again_shows_what_was_written()
    {
        for (var round = 0UL; round < 3; round++)
        {
            var (pipeline, coordinator) = await OpenAsync();
            Assert.Equal((long)round * 10, pipeline.Position.Marker);
            for (var i = 0UL; i < 10; i++) await AppendAsync(pipeline, round * 10 + i).WaitAsync(Patience);
            await pipeline.DisposeAsync();
            await coordinator.DisposeAsync();
        }
    }

    public void Dispose()
    {
        _browser.Dispose();
        _source.Remove();
    }

    private async Task<(CommitPipeline, TabCoordinator)> OpenAsync(IBlockStore? store = null, int checkpointRecords = 30)
    {
        var platform = _browser.OpenTab();
        var coordinator = new TabCoordinator(platform, new CoordinationOptions { Scope = FileSource.Name });
        var options = new PipelineOptions { CheckpointLogRecords = checkpointRecords };
        var pipeline = new CommitPipeline(store ?? _source.NewStore(), _bus.CreateChannel(), coordinator, options);
        await pipeline.OpenAsync().WaitAsync(Patience);
        return (pipeline, coordinator);
    }

    private static void ReadUntil(CommitPipeline pipeline, CancellationToken cancellationToken)
    {
        var durable = 0L;
        var buffer = new byte[100];
        while (!cancellationToken.IsCancellationRequested)
        {
            pipeline.Storage.EnterRead();
            var position = pipeline.Storage.Durable;
            pipeline.Storage.Read(ListStart - 50, buffer);
            pipeline.Storage.ExitRead();
            Assert.True(position.Marker >= durable);
            durable = position.Marker;
            Thread.Yield();
        }
    }

    private static async Task AppendAsync(CommitPipeline pipeline, ulong tag)
    {
        for (var attempt = 1; ; attempt++)
        {
            var turn = await pipeline.BeginWriteAsync(attempt > 2);
            var refusal = ClusterTab.TryAppend(pipeline.Storage, tag);
            turn.Dispose();
            if (refusal is null && !(await turn.Outcome).IsStale) return;
        }
    }
}
