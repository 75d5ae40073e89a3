using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using DataSync.Coordination;

namespace DataSync.Storage.Tests.Files;

/// <summary>This assembly run as a process of its own, to be killed: it opens a store, and writes until it is.</summary>
internal static class ChildProcess
{
    private const int SmallBlocks = 100, BigBlocks = 7;

    public static int Main(string[] args) => RunAsync(args).GetAwaiter().GetResult();

    public static Process Start(string command, FileSource source, int seed = 0)
    {
        var start = new ProcessStartInfo(Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet")
        {
            RedirectStandardOutput = true,
            RedirectStandardInput = true,
        };
        foreach (var argument in new[] { typeof(ChildProcess).Assembly.Location, command, source.Options.BaseDirectory!, seed.ToString(CultureInfo.InvariantCulture) })
            start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }

    /// <summary>What each block must be at a marker: the marker that wrote it last.</summary>
    public static Dictionary<uint, long> Expect(long marker)
    {
        var blocks = new Dictionary<uint, long>();
        for (var m = 1L; m <= marker; m++)
        {
            foreach (var block in BlocksOf(m)) blocks[block] = m;
        }

        return blocks;
    }

    public static void FillBlock(Span<byte> block, uint id, long marker)
    {
        for (var i = 0; i < block.Length; i++) block[i] = (byte)(i + id * 7 + marker * 13);
    }

    private static uint[] BlocksOf(long marker) => [(uint)(marker % SmallBlocks), (uint)(SmallBlocks + marker % BigBlocks * 20)];

    private static async Task<int> RunAsync(string[] args)
    {
        if (args.Length != 3) return 2;
        await using var store = new FileBlockStore(FileSource.Name, new() { BaseDirectory = args[1] });
        var head = await store.OpenAsync(default);
        if (args[0] == "hold")
        {
            await Console.Out.WriteLineAsync("open");
            await Console.In.ReadLineAsync();
            return 0;
        }

        await WriteAsync(store, head, new Random(int.Parse(args[2], CultureInfo.InvariantCulture)));
        return 0;
    }

    private static async Task WriteAsync(FileBlockStore store, Head head, Random random)
    {
        head = await store.RaiseEpochAsync(head.Incarnation, default, TabId.New(TimeProvider.System), default);
        var recovered = await Recovery.LoadAsync(store, head, new(), default);
        var (image, fence) = (recovered.Image, new Fence(head.Incarnation, head.Epoch));
        var recent = recovered.RecentCommits.ToList();
        while (true)
        {
            var group = MakeGroup(image.Position, fence, random.Next(1, 4));
            await store.AppendAsync(fence, group, default);
            await Console.Out.WriteAsync(string.Create(CultureInfo.InvariantCulture, $"{group[^1].Marker};\n"));
            await Console.Out.FlushAsync();
            foreach (var commit in group)
            {
                image.Apply(commit);
                recent.Add(commit.Id);
            }

            if (random.Next(5) == 0) head = await CheckpointAsync(store, head, fence, image, recent);
        }
    }

    private static async Task<Head> CheckpointAsync(FileBlockStore store, Head head, Fence fence, BlockImage image, List<CommitId> recent)
    {
        var extents = Enumerable.Range(0, image.ExtentCount).Where(index => image.Find(index) is not null).Select(index =>
        {
            var copy = new Extent(index);
            image.Find(index)!.RecordBytes.CopyTo(copy.RecordBytes);
            copy.SealRecord(head.Incarnation, head.Checksum);
            return copy;
        }).ToList();
        var next = head with { Checkpoint = image.Position, FileSize = image.FileSize, RecentCommits = [.. recent.TakeLast(Head.RecentCommitCount)] };
        await store.CheckpointAsync(fence, new Checkpoint(next, extents), default);
        extents.ForEach(extent => extent.Dispose());
        return next;
    }

    private static List<CommitRecord> MakeGroup(Position after, Fence fence, int count)
    {
        var buffer = new byte[Extent.BlockSize];
        var pinned = GCHandle.Alloc(buffer, GCHandleType.Pinned);
        var group = new List<CommitRecord>();
        for (; count > 0; count--)
        {
            var marker = after.Marker + 1;
            var commit = CommitRecord.Seal(CommitId.New(), after, TabId.New(TimeProvider.System), marker, 256 * 4096, ChecksumKind.FastHash, BlocksOf(marker), [], id =>
            {
                FillBlock(buffer, id, marker);
                return pinned.AddrOfPinnedObject();
            });
            commit.Stamp(fence);
            group.Add(commit);
            after = commit.Position;
        }

        pinned.Free();
        return group;
    }
}
