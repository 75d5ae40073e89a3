using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using DataSync.Storage;
using Spectre.Console;

namespace DataSync.Cli;

/// <summary>Writes results: for people, or as one JSON object.</summary>
internal sealed class Report(IAnsiConsole console, bool isJson)
{
    /// <summary>Writes a result one way or the other.</summary>
    public void Write<T>(T result, JsonTypeInfo<T> type, Action<IAnsiConsole> forPeople)
    {
        if (isJson) console.Profile.Out.Writer.WriteLine(JsonSerializer.Serialize(result, type));
        else forPeople(console);
    }

    /// <summary>Shows a bar while something reads the store, where there is a terminal and somebody looks at it.</summary>
    public async Task<T> WithProgressAsync<T>(string title, Func<IProgress<RecoveryProgress>?, Task<T>> work)
    {
        if (isJson || !console.Profile.Capabilities.Interactive) return await work(null).ConfigureAwait(false);
        return await console.Progress().StartAsync(async context => await work(new Bar(context.AddTask(title))).ConfigureAwait(false)).ConfigureAwait(false);
    }

    /// <summary>Names and values in two columns.</summary>
    public static void WriteTable(IAnsiConsole console, params (string Name, object? Value)[] rows)
    {
        var grid = new Grid().AddColumn().AddColumn();
        foreach (var (name, value) in rows) grid.AddRow(new Text(name), new Text(Convert.ToString(value, CultureInfo.InvariantCulture) ?? ""));
        console.Write(grid);
    }

    private sealed class Bar(ProgressTask task) : IProgress<RecoveryProgress>
    {
        public void Report(RecoveryProgress value)
        {
            task.MaxValue = Math.Max(1, value.Total);
            task.Value = value.Records;
        }
    }
}
