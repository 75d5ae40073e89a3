#pragma warning disable CA1822, CA1859
// Stands in for the database until the real one is merged.
using System.Runtime.InteropServices.JavaScript;
using System.Text.Json;
using DataSync.Coordination;

namespace DataSync.Vfs;

public readonly record struct ExecuteResult(int Changes, long LastInsertRowId, long Marker);
public sealed record QueryResult(IReadOnlyList<string> Columns, IReadOnlyList<IReadOnlyList<object?>> Rows);
public readonly record struct TransferProgress(long Done, long Total);
public sealed record StorageInfo(long DatabaseBytes, int Extents, int LogRecords, long LogBytes, long? UsageBytes, long? QuotaBytes, bool IsPersistent);
public sealed class CommittedEventArgs(long marker, TabId writer, bool isLocal) : EventArgs
{
    public long Marker { get; } = marker;
    public TabId Writer { get; } = writer;
    public bool IsLocal { get; } = isLocal;
}
public sealed class SqliteFakeException(string message) : Exception(message);
public sealed partial class DataSyncDatabase : IAsyncDisposable
{
    public required TabCoordinator Coordinator { get; init; }
    public long Marker { get; private set; }
    public event EventHandler<CommittedEventArgs>? Committed;
    public static async Task<DataSyncDatabase> OpenAsync(Microsoft.JSInterop.IJSRuntime js, string name)
    {
        await JSHost.ImportAsync("Fake", "../fake.js");
        await Open();
        var db = new DataSyncDatabase { Coordinator = new(new BrowserTabPlatform(js), new() { Scope = name }) };
        await db.Coordinator.JoinAsync();
        return db;
    }
    [JSImport("open", "Fake")] private static partial Task Open();
    [JSImport("run", "Fake")] private static partial string Run(string sql, string parameters);
    private static JsonElement Do(string sql, IReadOnlyDictionary<string, object?>? p)
    {
        var r = JsonDocument.Parse(Run(sql, DataSync.Playground.Client.SqlJson.Write(p))).RootElement;
        return r.TryGetProperty("error", out var e) ? throw new SqliteFakeException(e.GetString()!) : r;
    }
    public async Task<ExecuteResult> ExecuteAsync(string sql, object? parameters = null, CancellationToken ct = default)
    {
        await Task.Delay(Random.Shared.Next(1, 4), ct);
        var r = Do(sql, parameters as IReadOnlyDictionary<string, object?>);
        Marker++;
        Committed?.Invoke(this, new(Marker, Coordinator.Id, true));
        return new(r.GetProperty("changes").GetInt32(), r.GetProperty("rowid").GetInt64(), Marker);
    }
    public Task<QueryResult> QueryAsync(string sql, object? parameters = null, CancellationToken ct = default)
    {
        var r = Do(sql, parameters as IReadOnlyDictionary<string, object?>);
        return Task.FromResult(new QueryResult([.. r.GetProperty("columns").EnumerateArray().Select(c => c.GetString()!)],
            [.. r.GetProperty("rows").EnumerateArray().Select(row => (IReadOnlyList<object?>)[.. row.EnumerateArray().Select(v => v.ValueKind switch { JsonValueKind.Null => null, JsonValueKind.Number => v.TryGetInt64(out var l) ? (object)l : v.GetDouble(), _ => v.GetString() })])]));
    }
    public Task ForceSyncAsync() => Task.CompletedTask;
    public async Task ExportAsync(Stream to, IProgress<TransferProgress>? progress = null)
    {
        for (var i = 1; i <= 10; i++) { progress?.Report(new(i * 100_000, 1_000_000)); await to.WriteAsync(new byte[1000]); await Task.Delay(100); }
    }
    public Task ImportAsync(Stream from, IProgress<TransferProgress>? progress = null) => ExportAsync(Stream.Null, progress);
    public Task<StorageInfo> GetStorageInfoAsync() => Task.FromResult(new StorageInfo(786_432, 3, 17, 70_000, 1_482_752, 10L << 30, false));
    public ValueTask DisposeAsync() => Coordinator.DisposeAsync();
}
