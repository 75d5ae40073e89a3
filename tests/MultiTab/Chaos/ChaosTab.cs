using System.Text.Json.Nodes;
using DataSync.MultiTab.Browser;

namespace DataSync.MultiTab.Chaos;

/// <summary>The page is gone, or another one is in its place.</summary>
public sealed class PageLostException(string why) : Exception(why);

/// <summary>A tab of a run and what was done to it.</summary>
internal sealed class ChaosTab(RawTab raw, int number)
{
    public RawTab Raw { get; } = raw;

    public int Number { get; } = number;

    /// <summary>The page that is loaded, or was last.</summary>
    public ChaosPage? Page { get; set; }

    public RendererProcess? Process { get; set; }

    /// <summary>How many pages were loaded in it.</summary>
    public int Loads { get; set; }

    public bool IsStopped { get; set; }

    public bool IsFrozen { get; set; }

    public bool IsAway { get; set; }

    public bool IsThrottled { get; set; }

    /// <summary>The page did not open its database, or has lost it: a user would load it again.</summary>
    public bool NeedsReload { get; set; }

    /// <summary>It runs, as far as the test knows.</summary>
    public bool IsUp => Page is { IsLost: false } && !IsStopped && !IsFrozen && !IsAway;
}

/// <summary>One page of a tab, from its loading until it is lost; the same again when the browser brings it back.</summary>
internal sealed class ChaosPage(ChaosTab tab, string name, long loaded)
{
    private TaskCompletionSource lost = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>For example T3b: the second page of the third tab.</summary>
    public string Name { get; } = name;

    /// <summary>Before it was loaded.</summary>
    public long Loaded { get; } = loaded;

    /// <summary>The page's own id; tells it from the next one in the same tab.</summary>
    public string? Id { get; set; }

    /// <summary>The id of its coordinator.</summary>
    public string? TabId { get; set; }

    /// <summary>Its process was stopped for a while, and its clocks went on.</summary>
    public bool WasStopped { get; set; }

    public string Generation { get; set; } = "";

    public int LastNumber { get; set; }

    public long LastAcknowledgedRow { get; set; }

    public long LastMarker { get; set; }

    /// <summary>Its writing and reading; ends when the page is lost or the run is over.</summary>
    public Task Working { get; set; } = Task.CompletedTask;

    public bool IsLost => lost.Task.IsCompleted;

    public void Lose() => lost.TrySetResult();

    /// <summary>The browser brought it back as it was.</summary>
    public void Regain() => lost = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Evaluates in this page. Waits longer than the browser's protocol does, for pages that stand still for a while.</summary>
    /// <exception cref="PageLostException">It was lost before it answered.</exception>
    public async Task<JsonNode> AskAsync(string expression)
    {
        var gone = lost.Task;
        var answer = tab.Raw.EvaluateAsync(expression);
        if (await Task.WhenAny(answer, gone) == gone)
        {
            _ = answer.ContinueWith(task => _ = task.Exception, TaskScheduler.Default);
            throw new PageLostException("lost");
        }

        try
        {
            var value = await answer;
            return value?["gone"] is null ? value! : throw new PageLostException("another page is there");
        }
        catch (InvalidOperationException error) when (error.Message.StartsWith("Chromium refused", StringComparison.Ordinal) || error.Message.Contains("chaos is not defined", StringComparison.Ordinal))
        {
            throw new PageLostException(error.Message);
        }
    }
}
