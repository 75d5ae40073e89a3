using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace DataSync.Storage;

/// <summary>
/// Files on the operating system's disks. Durable means: <c>fsync</c> of the file (on macOS the runtime asks for a full flush),
/// and of the directory for its names; on Windows names are durable by the file system's own journal.
/// </summary>
internal sealed partial class DiskFiles : IFileLayer
{
    private const string LockName = "lock", HolderName = "holder", ClaimSuffix = ".claim.tmp";
    private const int SharingViolation = unchecked((int)0x80070020), LinuxWouldBlock = 11, AppleWouldBlock = 35;
    private const int Exists = 17, WindowsExists = unchecked((int)0x80070050), LinuxCloseOnExec = 0x80000, AppleCloseOnExec = 0x1000000;

    public static DiskFiles Instance { get; } = new();

    public void CreateDirectory(string path)
    {
        if (Directory.Exists(path)) return;
        var parent = Path.GetDirectoryName(path);
        if (!string.IsNullOrEmpty(parent)) CreateDirectory(parent);
        Directory.CreateDirectory(path);
        if (!string.IsNullOrEmpty(parent)) SyncDirectory(parent);
    }

    public IDisposable Lock(string directory)
    {
        FileStream stream;
        try
        {
            // On Unix this is flock: the system lets go of it when the process ends, however it ends.
            stream = new FileStream(Path.Combine(directory, LockName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException error) when (error.HResult is SharingViolation or LinuxWouldBlock or AppleWouldBlock)
        {
            throw new StoreInUseException(directory, ReadHolder(directory));
        }

        try
        {
            File.WriteAllText(Path.Combine(directory, HolderName), Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
            return stream;
        }
        catch
        {
            stream.Dispose();
            throw;
        }
    }

    public IReadOnlyList<string> List(string directory)
    {
        if (!Directory.Exists(directory)) return [];
        return [.. Directory.EnumerateFiles(directory).Select(path => Path.GetFileName(path))];
    }

    public bool Read(string path, FileAllocator allocate)
    {
        try
        {
            using var handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var bytes = allocate(RandomAccess.GetLength(handle));
            for (var done = 0; done < bytes.Length;)
            {
                var count = RandomAccess.Read(handle, bytes[done..], done);
                if (count == 0) throw new EndOfStreamException($"{path} became shorter while it was read.");
                done += count;
            }

            return true;
        }
        catch (Exception error) when (error is FileNotFoundException or DirectoryNotFoundException)
        {
            return false;
        }
    }

    public void Write(string path, ReadOnlySpan<byte> bytes)
    {
        // Never into an existing file: it could be another name of a record that is part of the history.
        File.Delete(path);
        using var handle = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write, FileShare.Read);
        RandomAccess.Write(handle, bytes, 0);
        RandomAccess.FlushToDisk(handle);
    }

    public bool Rename(string from, string to, bool replace)
    {
        if (replace)
        {
            File.Move(from, to, overwrite: true);
            return true;
        }

        if (OperatingSystem.IsWindows()) return RenameOnWindows(from, to);

        // rename() replaces, and looking first leaves a gap; link() takes a free name or fails.
        if (Link(from, to) == 0)
        {
            File.Delete(from);
            return true;
        }

        return Marshal.GetLastPInvokeError() != Exists && RenameByClaim(from, to);
    }

    public void Delete(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (DirectoryNotFoundException)
        {
        }
    }

    public void SyncDirectory(string path)
    {
        if (OperatingSystem.IsWindows()) return;
        using var handle = new SafeFileHandle(Open(path, OperatingSystem.IsLinux() ? LinuxCloseOnExec : AppleCloseOnExec), ownsHandle: true);
        if (handle.IsInvalid) throw new IOException($"{path} cannot be opened (error {Marshal.GetLastPInvokeError()}).", Marshal.GetLastPInvokeError());
        RandomAccess.FlushToDisk(handle);
    }

    /// <summary>
    /// The same where the file system has no hard links (FAT, some network drives): whoever makes the claim file first may
    /// look whether the name is free, and rename. A claim that a crash left is removed with the temporary files.
    /// </summary>
    internal static bool RenameByClaim(string from, string to)
    {
        var claim = to + ClaimSuffix;
        try
        {
            using var stream = new FileStream(claim, FileMode.CreateNew, FileAccess.Write);
        }
        catch (IOException error) when (error.HResult is Exists or WindowsExists)
        {
            return false;
        }

        try
        {
            if (File.Exists(to)) return false;
            File.Move(from, to, overwrite: true);
            return true;
        }
        finally
        {
            File.Delete(claim);
        }
    }

    private static bool RenameOnWindows(string from, string to)
    {
        try
        {
            File.Move(from, to, overwrite: false); // one atomic call there
            return true;
        }
        catch (IOException) when (File.Exists(to))
        {
            return false;
        }
    }

    private static int? ReadHolder(string directory)
    {
        try
        {
            var text = File.ReadAllText(Path.Combine(directory, HolderName));
            return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var id) ? id : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [LibraryImport("libc", EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int Link(string from, string to);

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    private static partial int Open(string path, int flags);
}
