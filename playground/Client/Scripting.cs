using System.Runtime.InteropServices.JavaScript;
using System.Text.Json;
using DataSync.Coordination;
using DataSync.Vfs;

namespace DataSync.Playground.Client;

/// <summary>The .NET side of <c>globalThis.datasync</c>; datasync.js says what its functions do.</summary>
internal static partial class Scripting
{
    private const string Module = "DataSyncScripting";

    private static Session? session;
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
    internal static Task<string> Execute(string sql, string parameters) => AnswerAsync(async writer =>
    {
        var result = await session!.MeasureAsync(database => database.ExecuteAsync(sql, ReadParameters(parameters)));
        WriteResult(writer, result);
    });

    [JSExport]
    internal static Task<string> Query(string sql, string parameters) => AnswerAsync(async writer =>
        SqlJson.WriteResult(writer, await Database.QueryAsync(sql, ReadParameters(parameters))));

    /// <summary>Runs several statements as one transaction.</summary>
    [JSExport]
    internal static Task<string> Transaction(string statements) => AnswerAsync(async writer =>
    {
        var result = await session!.MeasureAsync(database => database.ExecuteAsync(ReadStatements(statements)));
        WriteResult(writer, result);
    });

    [JSExport]
    internal static Task<string> WaitForLeader() => AnswerAsync(async writer =>
        writer.WriteString("leaderId", (await Database.Coordinator.WaitForLeaderAsync()).Value));

    [JSExport]
    internal static Task<string> RequestLeadership() => AnswerAsync(_ => Database.Coordinator.RequestLeadershipAsync());

    [JSExport]
    internal static Task<string> Resign() => AnswerAsync(_ => Database.Coordinator.ResignAsync());

    [JSExport]
    internal static Task<string> Sync() => AnswerAsync(_ => Database.ForceSyncAsync());

    [JSExport]
    internal static Task<string> Close() => AnswerAsync(_ => session!.CloseAsync());

    [JSExport]
    internal static Task<string> Export() => AnswerAsync(async _ =>
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
    internal static Task<string> Import([JSMarshalAs<JSType.Array<JSType.Number>>] byte[] content) => AnswerAsync(async _ =>
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
        writer.WriteStartArray("members");
        foreach (var member in coordinator.Members)
        {
            writer.WriteStringValue(member.Value);
        }

        writer.WriteEndArray();
    });

    [JSImport("attach", Module)]
    private static partial Task Attach(string outcome);

    [JSImport("notifyCommitted", Module)]
    private static partial void NotifyCommitted(double marker, string writer, bool isLocal);

    private static void WriteResult(Utf8JsonWriter writer, ExecuteResult result)
    {
        writer.WriteNumber("changes", result.Changes);
        writer.WriteNumber("lastInsertRowId", result.LastInsertRowId);
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
        writer.WriteEndObject();
        writer.WriteEndObject();
    });
}
