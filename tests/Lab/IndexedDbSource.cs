using System.Runtime.InteropServices.JavaScript;
using DataSync.Contracts;
using DataSync.Storage;

namespace DataSync.Lab;

/// <summary>Gives a suite one IndexedDB database for each test, and a way to it past DataSync.</summary>
internal sealed partial class IndexedDbSource(string? name = null) : IStoreSource
{
    private const string Module = "raw-store";

    private readonly string _name = name ?? "lab-" + Guid.NewGuid().ToString("N");

    /// <summary>The name of the browser's database.</summary>
    public string Database => "datasync:" + _name;

    public static Task LoadAsync() => JSHost.ImportAsync(Module, "../raw-store.js");

    Task IStoreSource.LoadAsync() => LoadAsync();

    Task IStoreSource.RemoveAsync() => RemoveAsync(Database);

    public IBlockStore NewStore() => NewStore(new());

    public IBlockStore NewStore(IndexedDbOptions options, TimeProvider? time = null) => new IndexedDbBlockStore(_name, options, time);

    public async ValueTask<byte[]?> GetRecordAsync(StoreRecordKind kind, long key) =>
        await GetAsync(Database, kind.ToString(), key) is { } base64 ? Convert.FromBase64String(base64) : null;

    public async ValueTask SetRecordAsync(StoreRecordKind kind, long key, byte[]? bytes)
    {
        var id = kind == StoreRecordKind.Log && bytes is not null ? CommitRecord.Parse(bytes, false, out _)?.Id.ToString() : null;
        await SetAsync(Database, kind.ToString(), key, bytes is null ? null : Convert.ToBase64String(bytes), id ?? "");
    }

    [JSImport("setJson", Module)]
    public static partial Task SetJsonAsync(string name, string kind, [JSMarshalAs<JSType.Number>] long key, string json);

    [JSImport("countQuarantined", Module)]
    public static partial Task<int> CountQuarantinedAsync(string name);

    [JSImport("listQuarantined", Module)]
    public static partial Task<string> ListQuarantinedAsync(string name);

    [JSImport("makeOther", Module)]
    public static partial Task MakeOtherAsync(string name, int version);

    [JSImport("hold", Module)]
    public static partial Task HoldAsync(string name);

    [JSImport("release", Module)]
    public static partial void Release();

    [JSImport("remove", Module)]
    public static partial Task RemoveAsync(string name);

    [JSImport("refuse", Module)]
    public static partial void Refuse(string how);

    [JSImport("delay", Module)]
    public static partial void Delay(double wait_ms);

    [JSImport("breakOff", Module)]
    public static partial void BreakOff(int times);

    [JSImport("allow", Module)]
    public static partial void Allow();

    [JSImport("abortWith", Module)]
    public static partial void AbortWith(string name, string message = "by the test");

    [JSImport("stopAborting", Module)]
    public static partial void StopAborting();

    [JSImport("get", Module)]
    private static partial Task<string?> GetAsync(string name, string kind, [JSMarshalAs<JSType.Number>] long key);

    [JSImport("set", Module)]
    private static partial Task SetAsync(string name, string kind, [JSMarshalAs<JSType.Number>] long key, string? base64, string id);
}
