using System.Text;
using Xunit;

namespace DataSync.Contracts;

/// <summary>What DataSync expects of the .NET runtime that it runs on. Also the example of how a suite is written.</summary>
public abstract class RuntimeContract : IAsyncLifetime
{
    private string? prepared;

    public async Task InitializeAsync()
    {
        await Task.Yield();
        prepared = "yes";
    }

    public Task DisposeAsync() => Task.CompletedTask;

    [Fact]
    public void A_suite_is_initialised_before_each_test() => Assert.Equal("yes", prepared);

    [Fact]
    public async Task A_continuation_runs_after_a_timer()
    {
        var start = TimeProvider.System.GetTimestamp();
        await Task.Delay(TimeSpan.FromMilliseconds(1));
        Assert.True(TimeProvider.System.GetElapsedTime(start) > TimeSpan.Zero);
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData("a", 1)]
    [InlineData("ä€😀", 9)]
    public void Text_is_counted_in_utf8(string text, int bytes) => Assert.Equal(bytes, Encoding.UTF8.GetByteCount(text));
}
