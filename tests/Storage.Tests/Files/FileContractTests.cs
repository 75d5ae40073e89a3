using DataSync.Contracts;

namespace DataSync.Storage.Tests.Files;

public abstract class BlockStoreOnFiles(bool inMemory) : BlockStoreContract
{
    private protected override IStoreSource Source { get; } = new FileSource(inMemory);
}

public abstract class CheckpointOnFiles(bool inMemory) : CheckpointContract
{
    private protected override IStoreSource Source { get; } = new FileSource(inMemory);
}

public abstract class RecoveryOnFiles(bool inMemory) : RecoveryContract
{
    private protected override IStoreSource Source { get; } = new FileSource(inMemory);
}

public abstract class HeadOnFiles(bool inMemory) : HeadContract
{
    private protected override IStoreSource Source { get; } = new FileSource(inMemory);
}

public sealed class DiskBlockStoreTests() : BlockStoreOnFiles(inMemory: false);

public sealed class DiskCheckpointTests() : CheckpointOnFiles(inMemory: false);

public sealed class DiskRecoveryTests() : RecoveryOnFiles(inMemory: false);

public sealed class DiskHeadTests() : HeadOnFiles(inMemory: false);

// The same on tmpfs, where there is one.
public sealed class TmpfsBlockStoreTests() : BlockStoreOnFiles(inMemory: true);

public sealed class TmpfsCheckpointTests() : CheckpointOnFiles(inMemory: true);

public sealed class TmpfsRecoveryTests() : RecoveryOnFiles(inMemory: true);

public sealed class TmpfsHeadTests() : HeadOnFiles(inMemory: true);
