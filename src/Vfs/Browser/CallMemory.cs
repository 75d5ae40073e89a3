using System.Runtime.InteropServices;

namespace DataSync.Vfs.Browser;

/// <summary>Copies of values that user functions were given: valid until the function returns. Calls may nest.</summary>
internal static unsafe class CallMemory
{
    private static readonly Stack<nint> Allocated = [];

    /// <summary>Where a call begins.</summary>
    public static int Mark => Allocated.Count;

    public static byte* Allocate(int size)
    {
        var at = (byte*)NativeMemory.Alloc((nuint)size);
        Allocated.Push((nint)at);
        return at;
    }

    /// <summary>The call that began here has ended.</summary>
    public static void FreeTo(int mark)
    {
        while (Allocated.Count > mark) NativeMemory.Free((void*)Allocated.Pop());
    }
}
