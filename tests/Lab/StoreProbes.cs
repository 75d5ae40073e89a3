using System.Globalization;
using System.Runtime.InteropServices.JavaScript;
using DataSync.Contracts;
using DataSync.Storage;

namespace DataSync.Lab;

/// <summary>Steps for tests that change the browser around a store meanwhile; offered to the page as <c>lab.probe(step)</c>.</summary>
public sealed partial class StoreProbes : StoreSuite
{
    private static readonly StoreProbes Instance = new();

    private static (IBlockStore Store, Fence Fence) _open;
    private static string _closed = "";

    /// <summary>Opens a store of a given name and listens for its end.</summary>
    [JSExport]
    internal static async Task Open()
    {
        _open = await Instance.LeadAsync();
        _closed = "";
        _open.Store.Closed += reason => _closed += reason;
    }

    /// <summary>Appends commits of 1 MB until one is refused; then tells the error, and appended and stored commits.</summary>
    [JSExport]
    internal static async Task<string> Fill()
    {
        var (store, fence) = _open;
        var (position, appended) = (Position.Start, 0);
        var incompressible = new Random(1);
        for (; appended < 64; appended++)
        {
            var commit = Commit(fence, position, 1 << 20, [.. Enumerable.Range(0, 256).Select(id => (uint)id)], [], incompressible);
            try
            {
                await store.AppendAsync(fence, [commit], None);
            }
            catch (StorageException error)
            {
                var stored = (await StoreContent.ReadAsync(store)).Log.Count;
                return string.Create(CultureInfo.InvariantCulture, $"{error.GetType().Name} {error.PlatformName} {appended} {stored}");
            }

            position = commit.Position;
        }

        return "nothing was refused";
    }

    /// <summary>Tells why the store was closed, and what an append says now.</summary>
    [JSExport]
    internal static async Task<string> Try()
    {
        try
        {
            await _open.Store.AppendAsync(_open.Fence, Chain(_open.Fence, Position.Start, 1), None);
            return _closed + " appended";
        }
        catch (StorageException error)
        {
            return $"{_closed} {error.GetType().Name}";
        }
    }

    private protected override IStoreSource Source { get; } = new IndexedDbSource("probe");
}
