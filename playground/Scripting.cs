using System.Runtime.InteropServices.JavaScript;
using System.Text.Json;
using DataSync.Coordination;
using DataSync.Storage;
using DataSync.Vfs;
using Microsoft.Data.Sqlite;

namespace DataSync.Playground;

/// <summary>The .NET side of <c>globalThis.datasync</c>; datasync.js says what its functions do.</summary>
internal static partial class Scripting
{
    private const string Module = "DataSyncScripting";

    private static Session? session;
    private static readonly Dictionary<int, LiveQuery<IReadOnlyList<object?>>> Lives = [];
    private static byte[] exported = [];

    private static DataSyncDatabase Database =>
        session!.Database ?? throw (session.Failure ?? new InvalidOperationException("The database is not open."));

    /// <summary>Makes the scripting object work on a session, whose database was opened or failed to.</summary>
    public static async Task AttachAsync(Session owner)
    {
        session = owner;
        await JSHost.ImportAsync(Module, "../datasync.js");
        owner.Committed += commit => NotifyCommitted(commit.Position.Marker, commit.Writer.Value, commit.IsLocal);
        await Attach(owner.Failure is null ? "{}" : ErrorJson(owner.Failure));
    }

    [JSExport]
    internal static void Execute(int call, string sql, string parameters) => Run(call, async writer =>
    {
        var result = await session!.MeasureAsync(database => database.ExecuteAsync(sql, ReadParameters(parameters)));
        WriteResult(writer, result);
    });

    [JSExport]
    internal static void Query(int call, string sql, string parameters) => Run(call, async writer =>
        SqlJson.WriteResult(writer, await Database.QueryAsync(sql, ReadParameters(parameters))));

    /// <summary>A query that follows the database; the call's number is its own from here on.</summary>
    [JSExport]
    internal static void Live(int call, string sql, string parameters) => Run(call, async writer =>
    {
        var query = await Database.LiveAsync(sql, ReadParameters(parameters));
        Lives[call] = query;
        query.Changed += (_, e) => NotifyLive(call, e.Error is { } error ? ErrorJson(error) : Answer(answer => SqlJson.WriteResult(answer, new QueryResult(query.Columns, e.Rows))));
        writer.WriteNumber("live", call);
        SqlJson.WriteResult(writer, new QueryResult(query.Columns, query.Current));
    });

    [JSExport]
    internal static void StopLive(int number)
    {
        if (Lives.Remove(number, out var query)) _ = query.DisposeAsync().AsTask();
    }

    /// <summary>Runs several statements as one transaction.</summary>
    [JSExport]
    internal static void Transaction(int call, string statements) => Run(call, async writer =>
    {
        var result = await session!.MeasureAsync(database => database.ExecuteAsync(ReadStatements(statements)));
        WriteResult(writer, result);
    });

    [JSExport]
    internal static void WaitForLeader(int call) => Run(call, async writer =>
        writer.WriteString("leaderId", (await Database.Coordinator.WaitForLeaderAsync()).Value));

    [JSExport]
    internal static void RequestLeadership(int call) => Run(call, _ => Database.Coordinator.RequestLeadershipAsync());

    [JSExport]
    internal static void Resign(int call) => Run(call, _ => Database.Coordinator.ResignAsync());

    [JSExport]
    internal static void Sync(int call) => Run(call, _ => Database.ForceSyncAsync());

    [JSExport]
    internal static void Restore(int call) => Run(call, _ => session!.RestoreAsync());

    [JSExport]
    internal static void Close(int call) => Run(call, _ => session!.CloseAsync());

    [JSExport]
    internal static void Export(int call) => Run(call, async _ =>
    {
        using var stream = new MemoryStream();
        await Database.ExportAsync(stream);
        exported = stream.ToArray();
    });

    /// <summary>The bytes of the last export, once.</summary>
    [JSExport]
    [return: JSMarshalAs<JSType.Array<JSType.Number>>]
    internal static byte[] TakeExported() => Interlocked.Exchange(ref exported, []);

    [JSExport]
    internal static void Import(int call, [JSMarshalAs<JSType.Array<JSType.Number>>] byte[] content) => Run(call, async _ =>
    {
        using var stream = new MemoryStream(content, writable: false);
        await Database.ImportAsync(stream);
    });

    [JSExport]
    internal static string Status() => Answer(writer =>
    {
        var coordinator = Database.Coordinator;
        writer.WriteString("id", coordinator.Id.Value);
        writer.WriteString("role", coordinator.Role == TabRole.Leader ? "leader" : "follower");
        writer.WriteString("leaderId", coordinator.LeaderId?.Value);
        writer.WriteNumber("epoch", coordinator.Epoch.Value);
        writer.WriteNumber("marker", Database.Marker);
        writer.WriteNumber("dirtyCommits", Database.AutoSync.DirtyCommits);
        writer.WriteString("lastSync", session!.LastSync?.Trigger.ToString());
        writer.WriteStartArray("members");
        foreach (var member in coordinator.Members)
        {
            writer.WriteStringValue(member.Value);
        }

        writer.WriteEndArray();
    });

    [JSImport("attach", Module)]
    private static partial Task Attach(string outcome);

    [JSImport("answer", Module)]
    private static partial void Answer(int call, string json);

    [JSImport("notifyLive", Module)]
    private static partial void NotifyLive(int number, string json);

    [JSImport("notifyCommitted", Module)]
    private static partial void NotifyCommitted(double marker, string writer, bool isLocal);

    private static void WriteResult(Utf8JsonWriter writer, ExecuteResult result)
    {
        writer.WriteNumber("changes", result.Changes);
        writer.WritePropertyName("lastInsertRowId");
        SqlJson.WriteValue(writer, result.LastInsertRowId);
        writer.WriteNumber("marker", result.Marker);
    }

    private static List<SqlStatement> ReadStatements(string json)
    {
        using var document = JsonDocument.Parse(json);
        return [.. document.RootElement.EnumerateArray().Select(statement =>
            new SqlStatement(statement.GetProperty("sql").GetString() ?? "", ReadParameters(statement.GetProperty("params"))))];
    }

    /// <summary>By name from a JSON object, by position from an array.</summary>
    private static object ReadParameters(JsonElement parameters) => parameters.ValueKind == JsonValueKind.Array
        ? parameters.EnumerateArray().Select(SqlJson.ReadValue).ToArray()
        : parameters.EnumerateObject().ToDictionary(member => member.Name, member => SqlJson.ReadValue(member.Value));

    private static object ReadParameters(string json)
    {
        using var document = JsonDocument.Parse(json);
        return ReadParameters(document.RootElement);
    }

    // By number, not as a promise: the runtime completes an exported Task in a timer, which the browser delays by 4 ms or more.
    private static async void Run(int call, Func<Utf8JsonWriter, Task> work) => Answer(call, await AnswerAsync(work));

    private static async Task<string> AnswerAsync(Func<Utf8JsonWriter, Task> work)
    {
        using var buffer = new MemoryStream();
        using var writer = new Utf8JsonWriter(buffer);
        try
        {
            writer.WriteStartObject();
            await work(writer);
            writer.WriteEndObject();
            writer.Flush();
            return System.Text.Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
        }
        catch (Exception error)
        {
            return ErrorJson(error);
        }
    }

    private static string Answer(Action<Utf8JsonWriter> work)
    {
        try
        {
            return SqlJson.Write(writer =>
            {
                writer.WriteStartObject();
                work(writer);
                writer.WriteEndObject();
            });
        }
        catch (Exception error)
        {
            return ErrorJson(error);
        }
    }

    private static string ErrorJson(Exception error) => SqlJson.Write(writer =>
    {
        writer.WriteStartObject();
        writer.WriteStartObject("error");
        writer.WriteString("name", error.GetType().Name);
        writer.WriteString("message", error.Message);
        switch (error)
        {
            case SqliteException sqlite:
                writer.WriteNumber("sqliteErrorCode", sqlite.SqliteErrorCode);
                writer.WriteNumber("sqliteExtendedErrorCode", sqlite.SqliteExtendedErrorCode);
                break;
            case StorageException { PlatformName: { } platformName }:
                writer.WriteString("platformName", platformName);
                break;
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
    });
}
