using System.Diagnostics;

namespace DataSync.Bench.Client;

// Several tabs: W6, W7 and W8.
internal static partial class Steps
{
    private static async Task<StepResult> WarmAsync(StepOptions options) =>
        Series("warmed", [await WarmUpAsync(options.FirstId, options.Count, options.Limit_ms)]);

    private static async Task<StepResult> WritesAsync(StepOptions options)
    {
        await WaitUntil(options.Start_ms);
        var times = new List<double>();
        var (begin, start) = (Clock(), Stopwatch.GetTimestamp());
        for (var i = 0; i < options.Count && Elapsed(start) < options.Limit_ms; i++)
        {
            var row = Row.Make(options.FirstId + i);
            var one = Stopwatch.GetTimestamp();
            await Work.InsertOneAsync(row);
            times.Add(Elapsed(one));
        }

        return new(new() { [options.Metric] = times, ["begin"] = [begin], ["end"] = [Clock()] });
    }

    private static StepResult StartWriting(StepOptions options)
    {
        writing = new Writing();
        _ = WriteOnAsync(writing, options.FirstId);
        return None();
    }

    private static async Task WriteOnAsync(Writing state, long id)
    {
        for (; !state.IsStopped; id++)
        {
            var begin = Clock();
            try
            {
                await Work.InsertOneAsync(Row.Make(id));
            }
            catch (Exception error)
            {
                state.Error = $"{error.GetType().Name}: {error.Message}";
                await WaitUntil(begin + 5);
                continue;
            }

            state.Begins.Add(begin);
            state.Ends.Add(Clock());
        }
    }

    private static StepResult StopWriting()
    {
        writing!.IsStopped = true;
        return Written();
    }

    private static StepResult Written() => new(new() { ["begins"] = writing!.Begins, ["ends"] = writing.Ends }, writing.Error);

    private sealed class Writing
    {
        public bool IsStopped { get; set; }

        public string? Error { get; set; }

        public List<double> Begins { get; } = [];

        public List<double> Ends { get; } = [];
    }
}
