using DataSync.Coordination;
using Xunit;

namespace DataSync.Storage.Tests;

/// <summary>What an image held when somebody began to compare can be read for as long as it is wanted, whatever changes the image meanwhile.</summary>
public sealed class PastTests : IBatchOwner, IDisposable
{
    private const int Blocks = 150; // more than two extents
    private static readonly TabId Self = TabId.New(TimeProvider.System), Other = TabId.New(TimeProvider.System);

    private readonly BlockStorage _storage;
    private readonly List<(BlockUndo Past, byte[] Bytes)> _pasts = [];
    private Random _random = new(0);

    public PastTests() => _storage = new(this, new BlockImage(), ChecksumKind.FastHash, Self, TimeProvider.System);

    public void Dispose() => _storage.Dispose();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void It_stays_as_it_was(int seed)
    {
        _random = new(seed);
        for (var step = 0; step < 200; step++)
        {
            Step();
            if (_random.Next(6) == 0) _pasts.Add((_storage.Remember(), Read(_storage)));
            if (_pasts.Count > 3)
            {
                _storage.Forget(_pasts[0].Past);
                _pasts.RemoveAt(0);
            }

            Check(seed, step);
        }

        foreach (var (past, _) in _pasts) _storage.Forget(past);
        Assert.Equal(0, _storage.RememberedBlocks);
    }

    private void Step()
    {
        switch (_random.Next(8))
        {
            case 0 or 1:
                WriteBatch(isKept: true);
                break;
            case 2:
                WriteBatch(isKept: false);
                break;
            case 3 when _storage.ChainLength == 0:
                _storage.ApplyDurable(Foreign());
                break;
            case 4:
                _storage.ApplyAccepted(Foreign());
                break;
            case 5 when _storage.ChainFront is { } front:
                _storage.UndoFrom(front);
                break;
            case 6:
                foreach (var commit in _storage.ChainOn(_storage.Durable)) _storage.TryConfirm(commit.Position);
                break;
            case 7 when _storage.ChainLength == 0:
                _storage.Replace(NewImage());
                break;
        }
    }

    // Half of the time somebody begins to compare in the middle: with what was before the batch.
    private void WriteBatch(bool isKept)
    {
        var before = Read(_storage);
        Assert.Null(_storage.TryBeginBatch());
        for (var i = _random.Next(1, 6); i > 0; i--)
        {
            if (_random.Next(5) == 0) _storage.Truncate(_random.Next(Blocks + 1) * (long)Extent.BlockSize);
            else _storage.Write(_random.Next(Blocks) * (long)Extent.BlockSize + _random.Next(100), RandomBytes(_random.Next(1, 6000)));
            if (_random.Next(4) == 0) _pasts.Add((_storage.Remember(), before));
        }

        if (isKept) _storage.CommitBatch();
        else _storage.RollbackBatch();
    }

    private CommitRecord Foreign()
    {
        var ids = Enumerable.Range(0, Blocks).Select(i => (uint)i).ToArray();
        _random.Shuffle(ids);
        uint[] written = [.. ids.Take(_random.Next(1, 5)).Order()], freed = [.. ids.Skip(5).Take(_random.Next(3)).Order()];
        using var content = new Extent(0);
        RandomBytes(Extent.BlockSize).CopyTo(content.Block(0));
        return CommitRecord.Seal(
            CommitId.New(), _storage.Top, Other, 0, Math.Max(_storage.Size, (written[^1] + 1L) * Extent.BlockSize), ChecksumKind.FastHash, written, freed, _ => content.BlockAddress(0));
    }

    private BlockImage NewImage()
    {
        var image = new BlockImage { FileSize = _random.Next(1, Blocks) * (long)Extent.BlockSize, Position = new(_storage.Durable.Marker + 1, CommitId.New()) };
        for (var block = 0; block < image.FileSize / Extent.BlockSize; block += _random.Next(1, 20))
        {
            var extent = image.GetOrAdd(block / Extent.BlockCount);
            RandomBytes(Extent.BlockSize).CopyTo(extent.Block(block % Extent.BlockCount));
            extent[block % Extent.BlockCount] = new(1, 0, 0, IsPresent: true);
        }

        return image;
    }

    private void Check(int seed, int step)
    {
        foreach (var (past, bytes) in _pasts)
        {
            using var opened = _storage.OpenPast(past);
            Assert.True(bytes.AsSpan().SequenceEqual(Read(opened)), $"seed {seed}, step {step}");
            Assert.NotNull(opened.TryBeginBatch());
        }

        _ = Read(_storage); // what a past borrowed is still there
    }

    private static byte[] Read(BlockStorage storage)
    {
        var bytes = new byte[storage.Size];
        Assert.Equal(bytes.Length, storage.Read(0, bytes));
        return bytes;
    }

    private byte[] RandomBytes(int length)
    {
        var bytes = new byte[length];
        _random.NextBytes(bytes);
        return bytes;
    }

    string? IBatchOwner.TryBeginBatch() => null;

    void IBatchOwner.OnSealed(CommitRecord commit)
    {
    }


    void IBatchOwner.OnBatchEnded()
    {
    }

    void IBatchOwner.OnIdle()
    {
    }
}
