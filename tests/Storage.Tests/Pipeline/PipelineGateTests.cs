using Xunit;

namespace DataSync.Storage.Tests.Pipeline;

/// <summary>The gate runs foreign code, which does not stop it.</summary>
public sealed class PipelineGateTests
{
    /// <summary>More than anything here may take; what hangs fails with it.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_foreign_code_throws_is_told_and_what_comes_behind_it_runs(bool inPlace)
    {
        var told = new List<string>();
        var raised = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var gate = new PipelineGate(new PipelineSources { RunsInPlace = inPlace }, error =>
        {
            lock (told) told.Add(error.Message);
        });
        gate.Run(() =>
        {
            gate.Defer(() => throw new InvalidOperationException("a completion"));
            gate.Raise(() => throw new InvalidOperationException("an event"));
            gate.Raise(raised.SetResult);
        });
        await raised.Task.WaitAsync(Patience);
        lock (told) Assert.Equal(["a completion", "an event"], told);

        // It does not take itself for busy for ever.
        var runs = false;
        gate.Run(() => gate.Defer(() => runs = true));
        Assert.True(runs);
    }
}
