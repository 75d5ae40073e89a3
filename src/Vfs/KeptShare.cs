using System.Runtime.InteropServices;

namespace DataSync.Vfs;

/// <summary>
/// A file's SHARED lock that stays when SQLite gives it back, until somebody needs the readers gone and recalls it: SQLite takes and gives it back with each query,
/// and to do both costs a third of a small one. The state lies at an address, where files.js sees and changes it as <see cref="TryTake"/> and <see cref="TryKeep"/> do.
/// Any thread may call any member; the file's own thread alone begins, takes, keeps and ends.
/// </summary>
internal sealed unsafe class KeptShare
{
    // As in files.js.
    private const int None = 0, InUse = 1, Kept = 2, Recalled = 3;

    private readonly int* _state = (int*)NativeMemory.AllocZeroed(sizeof(int));

    ~KeptShare() => NativeMemory.Free(_state);

    /// <summary>Where the state is, for as long as this object is referenced.</summary>
    public nint Address => (nint)_state;

    /// <summary>Whether SQLite holds the lock.</summary>
    public bool IsInUse => Volatile.Read(ref *_state) is InUse or Recalled;

    /// <summary>SQLite took the lock, and the file counts among the readers from now on.</summary>
    public void Begin() => Volatile.Write(ref *_state, InUse);

    /// <summary>SQLite gives the lock back, and it is kept. False when somebody waits for that: then it has to be ended.</summary>
    public bool TryKeep() => Interlocked.CompareExchange(ref *_state, Kept, InUse) == InUse;

    /// <summary>SQLite takes the lock that was kept. False when there is none.</summary>
    public bool TryTake() => Interlocked.CompareExchange(ref *_state, InUse, Kept) == Kept;

    /// <summary>The lock is another one, or none, from now on.</summary>
    public void End() => Volatile.Write(ref *_state, None);

    /// <summary>Ends the lock if it is only kept, and sees to it that it is not kept if it is in use. True: the file is to be taken off the readers.</summary>
    public bool TryRecall()
    {
        do
        {
            if (Interlocked.CompareExchange(ref *_state, None, Kept) == Kept) return true;
        }
        while (Interlocked.CompareExchange(ref *_state, Recalled, InUse) == Kept); // it was given back in between
        return false;
    }
}
