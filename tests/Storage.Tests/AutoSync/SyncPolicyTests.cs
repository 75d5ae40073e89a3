using Xunit;

namespace DataSync.Storage.Tests.AutoSync;

public sealed class SyncPolicyTests
{
    [Fact]
    public void The_defaults_are_valid() => new SyncPolicy().Validate();

    [Theory]
    [InlineData(nameof(SyncPolicy.Interval))]
    [InlineData(nameof(SyncPolicy.Debounce))]
    [InlineData(nameof(SyncPolicy.DirtyBlocks))]
    [InlineData(nameof(SyncPolicy.DirtyBytes))]
    [InlineData(nameof(SyncPolicy.BackpressureBytes))]
    public void A_value_out_of_range_is_named(string name)
    {
        var policy = new SyncPolicy();
        switch (name)
        {
            case nameof(SyncPolicy.Interval): policy.Interval = TimeSpan.FromHours(1); break;
            case nameof(SyncPolicy.Debounce): policy.Debounce = policy.Interval * 2; break;
            case nameof(SyncPolicy.DirtyBlocks): policy.DirtyBlocks = 0; break;
            case nameof(SyncPolicy.DirtyBytes): policy.DirtyBytes = 10; break;
            default: policy.BackpressureBytes = policy.DirtyBytes - 1; break;
        }

        Assert.Equal(name, Assert.Throws<ArgumentException>(policy.Validate).ParamName);
    }

    [Theory]
    [InlineData(0, 0, 0, 9000, true, null)]
    [InlineData(1, 1, 5000, 0, false, null)]
    [InlineData(1, 1, 5000, 0, true, SyncTrigger.Hidden)]
    [InlineData(1, 512, 5000, 0, false, SyncTrigger.DirtyBlocks)]
    [InlineData(1, 511, 5000, 1999, false, null)]
    [InlineData(1, 1, 2 << 20, 0, false, SyncTrigger.DirtyBytes)]
    [InlineData(1, 1, 5000, 2000, false, SyncTrigger.Interval)]
    public void What_is_held_decides_whether_a_sync_is_due(int commits, int blocks, long bytes, int age_ms, bool isHidden, SyncTrigger? expected) =>
        Assert.Equal(expected, new SyncPolicy().Decide(new(commits, blocks, bytes, TimeSpan.FromMilliseconds(age_ms)), isHidden));
}
