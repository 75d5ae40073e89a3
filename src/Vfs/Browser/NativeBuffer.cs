using System.Runtime.InteropServices;

namespace DataSync.Vfs.Browser;

/// <summary>Unmanaged memory of .NET that grows and keeps its place until it does. The finaliser frees what <see cref="Free"/> did not.</summary>
internal sealed unsafe class NativeBuffer
{
    public byte* Address { get; private set; }

    public int Size { get; private set; }

    ~NativeBuffer() => NativeMemory.Free(Address);

    /// <summary>Makes room; what was there is lost when it must grow.</summary>
    public byte* Reserve(int size)
    {
        if (size <= Size) return Address;
        NativeMemory.Free(Address);
        Address = null;
        Size = 0;
        size = (int)Math.Min(int.MaxValue, Math.Max(64, (long)size + size / 2));
        Address = (byte*)NativeMemory.Alloc((nuint)size);
        Size = size;
        return Address;
    }

    public void Free()
    {
        NativeMemory.Free(Address);
        Address = null;
        Size = 0;
    }
}
