using Xunit;
using DataSync.Coordination;
using DataSync.Storage;

namespace DataSync.Vfs.Tests;

/// <summary>A block storage that commits nowhere, and a VFS that has it open as "app.db".</summary>
internal sealed class TestStorage : IBatchOwner, IDisposable
{
    public TestStorage()
    {
        Storage = new BlockStorage(this, new BlockImage(), ChecksumKind.FastHash, TabId.New(TimeProvider.System), TimeProvider.System);
        Vfs = new BlockVfs(TimeProvider.System);
        Vfs.Register("app.db", Storage);
    }

    public BlockStorage Storage { get; }

    public BlockVfs Vfs { get; }

    public string? Refusal { get; set; }

    public List<CommitRecord> Sealed { get; } = [];

    public int Ended { get; private set; }

    public int Idle { get; private set; }

    public Action? WhenIdle { get; set; }

    public Action? WhenSealed { get; set; }

    public VfsFile Open(string name = "app.db", SqliteOpenFlags flags = SqliteOpenFlags.MainDatabase | SqliteOpenFlags.ReadWrite) =>
        Vfs.Open(name, flags, out _) ?? throw new InvalidOperationException(VfsFailure.Last);

    /// <summary>Writes bytes in one transaction of their own.</summary>
    public void Write(long offset, params byte[] bytes)
    {
        var file = Open();
        Assert.Equal(SqliteResult.Ok, file.TryLock(LockLevel.Shared));
        Assert.Equal(SqliteResult.Ok, file.TryLock(LockLevel.Reserved));
        Assert.Equal(SqliteResult.Ok, file.TryLock(LockLevel.Exclusive));
        Assert.Equal(SqliteResult.Ok, file.Write(offset, bytes));
        Assert.Equal(SqliteResult.Ok, file.Control(SqliteFileControl.CommitPhaseTwo));
        Assert.Equal(SqliteResult.Ok, file.Close());
    }

    public byte[] Read(long offset, int length)
    {
        var bytes = new byte[length];
        Storage.Read(offset, bytes);
        return bytes;
    }

    string? IBatchOwner.TryBeginBatch() => Refusal;

    void IBatchOwner.OnSealed(CommitRecord commit)
    {
        WhenSealed?.Invoke();
        Sealed.Add(commit);
    }

    void IBatchOwner.OnBatchEnded() => Ended++;

    void IBatchOwner.OnIdle()
    {
        Idle++;
        WhenIdle?.Invoke();
    }

    public void Dispose() => Storage.Dispose();
}
