using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json.Nodes;

namespace DataSync.MultiTab.Chaos;

/// <summary>Writes and reads through one page after the other and keeps what came of it.</summary>
internal sealed class ChaosWriter(ChaosHistory history, ChaosLog log, TimeProvider time, int seed)
{
    /// <summary>Above it a commit is not announced with its blocks: the others read the log.</summary>
    private const int LargeBytes = 300_000;

    private const int HugeBytes = 1_500_000;

    private readonly ConcurrentDictionary<string, int> refusals = [];

    /// <summary>There is little room: some writes are huge.</summary>
    public bool IsShort { get; set; }

    /// <summary>There was little room once, so pages may say so.</summary>
    public bool MayBeRefused { get; set; }

    /// <summary>The database was deleted once, so pages may say so.</summary>
    public bool MayBeDeleted { get; set; }

    /// <summary>Everybody ends after what they are at.</summary>
    public volatile bool IsOver;

    /// <summary>How often each error was an answer.</summary>
    public IReadOnlyDictionary<string, int> Refusals => refusals;

    /// <summary>Opens the database in a page, or asks a page that came back what became of its writes, and works in it until it is lost or the run is over.</summary>
    public async Task WorkAsync(ChaosTab tab, ChaosPage page, bool isBack = false)
    {
        var dice = new Random(unchecked(seed * 7919 + tab.Number * 101 + tab.Loads));
        try
        {
            if (isBack && page.Generation.Length > 0) await ResumeAsync(tab, page);
            else if (!await OpenAsync(tab, page)) return;
            while (!IsOver && !tab.NeedsReload)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(5 + dice.Next(50)), time);
                var choice = dice.Next(100);
                if (choice < 12) await ReadAsync(page, choice < 2);
                else if (choice < 20) await Task.WhenAll(Enumerable.Range(0, 3).Select(_ => WriteAsync(tab, page, 1, 10)));
                else await WriteAsync(tab, page, choice < 60 ? 1 : 1 + dice.Next(3), Bytes(dice));
            }
        }
        catch (PageLostException)
        {
            // What it was at has no answer: unknown until somebody reads it, or the page comes back.
        }
    }

    /// <summary>Writes once and returns whether it was acknowledged.</summary>
    public async Task<bool> WriteAsync(ChaosTab tab, ChaosPage page, int parts, int bytes)
    {
        var n = ++page.LastNumber;
        var operation = history.Begin(page.Name, n, parts, page.Generation, time.GetTimestamp());
        var answer = await AskPatientlyAsync(page, n, string.Create(CultureInfo.InvariantCulture, $"chaos.write('{page.Id}', '{page.Name}', {n}, {parts}, {bytes})"));
        Settle(tab, page, operation, answer);
        return operation.Outcome == Outcome.Acknowledged;
    }

    /// <summary>Reads what is new, or everything, and compares it with what others read.</summary>
    public async Task ReadAsync(ChaosPage page, bool isWhole)
    {
        var known = history.KnownRows(page.Generation);
        // From a number that this page shows for sure.
        var from = isWhole ? 0 : Math.Max(0, Math.Min(known, page.LastAcknowledgedRow) - 20);
        var (atLeastRow, atLeastMarker) = (page.LastAcknowledgedRow, page.LastMarker);
        var answer = await page.AskAsync(string.Create(CultureInfo.InvariantCulture, $"chaos.read('{page.Id}', {from})"));
        if (answer["rows"]?.AsArray() is not { } array) return; // closed meanwhile; the next write says why
        Row[] rows = [.. array.Select(row => ReadRow(row!.AsArray()))];
        history.Read(page.Name, page.Generation, from, rows);
        var marker = answer["marker"]!.GetValue<long>();
        if (from + rows.Length < atLeastRow) history.Violate($"{page.Name} does not show row {atLeastRow}, of which it was told");
        if (marker < atLeastMarker) history.Violate($"{page.Name} went back from marker {atLeastMarker} to {marker}");
        page.LastMarker = Math.Max(page.LastMarker, marker);
    }

    /// <summary>Asks a page that came back what became of what it was at.</summary>
    private async Task ResumeAsync(ChaosTab tab, ChaosPage page)
    {
        foreach (var operation in history.UnknownOf(page.Name))
        {
            var answer = await AskPatientlyAsync(page, operation.N, string.Create(CultureInfo.InvariantCulture, $"chaos.answer('{page.Id}', {operation.N})"));
            Settle(tab, page, operation, answer);
        }
    }

    private async Task<bool> OpenAsync(ChaosTab tab, ChaosPage page)
    {
        var answer = await AskPatientlyAsync(page, 0, "chaos.open()");
        if (answer["error"] is { } error || answer["generation"] is null)
        {
            log.Write(page.Name, $"did not open: {answer["error"]}: {answer["message"]}");
            // Full or deleted under it, or stopped until its patience with the browser was over: a user loads it again. Anything else is wrong.
            var isOverdue = page.WasStopped && (string?)answer["error"] == "StorageUnavailableException";
            if (!isOverdue && !IsExpected((string?)answer["error"])) history.Violate($"{page.Name} did not open: {answer["error"]}: {answer["message"]}");
            tab.NeedsReload = true;
            return false;
        }

        (page.Id, page.TabId, page.Generation) = (answer["page"]!.GetValue<string>(), answer["id"]!.GetValue<string>(), answer["generation"]!.GetValue<string>());
        history.Open(page.Generation, page.Loaded);
        log.Write(page.Name, $"opened history {page.Generation} as tab {page.TabId[^6..]}");
        return true;
    }

    /// <summary>The browser's protocol gives up after 30 s; a page that stood still is asked again.</summary>
    private static async Task<JsonNode> AskPatientlyAsync(ChaosPage page, int n, string expression)
    {
        for (; ; expression = n == 0 ? expression : string.Create(CultureInfo.InvariantCulture, $"chaos.answer('{page.Id}', {n})"))
        {
            try
            {
                return await page.AskAsync(expression);
            }
            catch (TimeoutException)
            {
            }
        }
    }

    /// <summary>Whether what was done explains the error; any other is a violation.</summary>
    private bool IsExpected(string? error) => error switch
    {
        // In a full store what a write is built on fails, time and again, so that it is told that it is stale.
        "StorageQuotaException" or "StaleCommitException" => MayBeRefused,
        "StorageClosedException" or "StoreReplacedException" => MayBeDeleted,
        _ => false,
    };

    private void Settle(ChaosTab tab, ChaosPage page, Operation operation, JsonNode answer)
    {
        var now = time.GetTimestamp();
        if (answer["marker"] is { } marker)
        {
            history.Acknowledge(operation, marker.GetValue<long>(), answer["id"]!.GetValue<long>(), now);
            page.LastAcknowledgedRow = Math.Max(page.LastAcknowledgedRow, operation.LastRow);
            page.LastMarker = Math.Max(page.LastMarker, operation.Marker);
            return;
        }

        if (answer["never"] is not null)
        {
            history.Refuse(operation, now); // the page was lost before it was even asked
            return;
        }

        var (error, message) = (answer["error"]!.GetValue<string>(), answer["message"]!.GetValue<string>());
        refusals.AddOrUpdate(error, 1, (_, count) => count + 1);
        log.Write(page.Name, $"{operation.N} failed: {error}: {message}");
        if (error is "NoLeaderException") return; // unknown, as it says
        if (error is "StorageClosedException" or "StoreReplacedException") tab.NeedsReload = true; // it went down with the database, written or not
        else history.Refuse(operation, now);
        if (!IsExpected(error)) history.Violate($"{operation} failed with {error}: {message}");
    }

    private int Bytes(Random dice) => dice.Next(1000) switch
    {
        < 100 when IsShort => HugeBytes,
        < 8 => LargeBytes,
        < 60 => 20_000,
        _ => dice.Next(200),
    };

    private static Row ReadRow(JsonArray row) => new(
        row[0]!.GetValue<long>(), row[1]!.GetValue<string>(), row[2]!.GetValue<int>(), row[3]!.GetValue<int>(),
        row[4]!.GetValue<int>(), row[5]!.GetValue<long>(), row[6]!.GetValue<string>());
}
