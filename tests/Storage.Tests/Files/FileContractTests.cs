using DataSync.Contracts;

namespace DataSync.Storage.Tests.Files;

public abstract class BlockStoreOnFiles(bool inMemory) : BlockStoreContract
{
    private readonly FileSource _source = new(inMemory);

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        _source.Remove();
    }

    protected override IBlockStore NewStore() => _source.NewStore();

    protected override ValueTask<byte[]?> GetRecordAsync(StoreRecordKind kind, long key) => _source.GetRecordAsync(kind, key);

    protected override ValueTask SetRecordAsync(StoreRecordKind kind, long key, byte[]? bytes) => _source.SetRecordAsync(kind, key, bytes);
}

public abstract class CheckpointOnFiles(bool inMemory) : CheckpointContract
{
    private readonly FileSource _source = new(inMemory);

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        _source.Remove();
    }

    protected override IBlockStore NewStore() => _source.NewStore();

    protected override ValueTask<byte[]?> GetRecordAsync(StoreRecordKind kind, long key) => _source.GetRecordAsync(kind, key);

    protected override ValueTask SetRecordAsync(StoreRecordKind kind, long key, byte[]? bytes) => _source.SetRecordAsync(kind, key, bytes);
}

public abstract class RecoveryOnFiles(bool inMemory) : RecoveryContract
{
    private readonly FileSource _source = new(inMemory);

    public override async Task DisposeAsync()
    {
        await base.DisposeAsync();
        _source.Remove();
    }

    protected override IBlockStore NewStore() => _source.NewStore();

    protected override ValueTask<byte[]?> GetRecordAsync(StoreRecordKind kind, long key) => _source.GetRecordAsync(kind, key);

    protected override ValueTask SetRecordAsync(StoreRecordKind kind, long key, byte[]? bytes) => _source.SetRecordAsync(kind, key, bytes);
}

public sealed class DiskBlockStoreTests() : BlockStoreOnFiles(inMemory: false);

public sealed class DiskCheckpointTests() : CheckpointOnFiles(inMemory: false);

public sealed class DiskRecoveryTests() : RecoveryOnFiles(inMemory: false);

// The same on tmpfs, where there is one.
public sealed class TmpfsBlockStoreTests() : BlockStoreOnFiles(inMemory: true);

public sealed class TmpfsCheckpointTests() : CheckpointOnFiles(inMemory: true);

public sealed class TmpfsRecoveryTests() : RecoveryOnFiles(inMemory: true);
