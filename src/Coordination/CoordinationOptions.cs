namespace DataSync.Coordination;

/// <summary>Settings of a <see cref="TabCoordinator"/>; copied when it is constructed, so later changes have no effect.</summary>
public sealed class CoordinationOptions
{
    /// <summary>What one leader is elected for, for instance one database name.</summary>
    /// <value>Default <c>"default"</c>; 1 to 255 characters, no control characters.</value>
    public string Scope { get; set; } = "default";

    /// <summary>How often the leader renews its lease and every tab looks around.</summary>
    /// <value>Default 1 s; 10 ms to 1 minute, at most a third of <see cref="Lease"/>.</value>
    public TimeSpan Heartbeat { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// How long a lease holds without a renewal, judged by each observer's own monotonic clock. Where a take-over took longer than
    /// that, the next one is given twice as long, up to 32 times.
    /// </summary>
    /// <value>Default 5 s; at least three heartbeats, at most 10 minutes.</value>
    public TimeSpan Lease { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary>The n-th live tab (by id) waits n graces before it claims a free lease; the lowest does not wait.</summary>
    /// <value>Default 50 ms; 1 ms to one heartbeat.</value>
    public TimeSpan Grace { get; set; } = TimeSpan.FromMilliseconds(50);

    /// <summary>How long <see cref="TabCoordinator.Elected"/> may take before the lease is given to another tab.</summary>
    /// <value>Default 30 s; at least one heartbeat, at most 1 hour.</value>
    public TimeSpan TakeoverTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Checks every value and the rules between them.</summary>
    /// <exception cref="ArgumentException">A value is out of its range; the message names it and the range.</exception>
    public void Validate()
    {
        if (string.IsNullOrWhiteSpace(Scope) || Scope.Length > 255 || Scope.Any(char.IsControl))
            throw new ArgumentException("Scope must have 1 to 255 characters and no control characters.", nameof(Scope));
        Check(Heartbeat, TimeSpan.FromMilliseconds(10), TimeSpan.FromMinutes(1), nameof(Heartbeat));
        Check(Lease, Heartbeat * 3, TimeSpan.FromMinutes(10), nameof(Lease));
        Check(Grace, TimeSpan.FromMilliseconds(1), Heartbeat, nameof(Grace));
        Check(TakeoverTimeout, Heartbeat, TimeSpan.FromHours(1), nameof(TakeoverTimeout));
    }

    internal CoordinationOptions Copy() => (CoordinationOptions)MemberwiseClone();

    private static void Check(TimeSpan value, TimeSpan least, TimeSpan most, string name)
    {
        if (value < least || value > most)
            throw new ArgumentException($"{name} is {value}; it must be from {least} to {most}.", name);
    }
}
