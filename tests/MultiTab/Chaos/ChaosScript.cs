namespace DataSync.MultiTab.Chaos;

/// <summary>What goes wrong.</summary>
public enum Fault
{
    /// <summary>The tab's renderer process is killed (SIGKILL).</summary>
    Kill,

    /// <summary>The browser crashes the tab's renderer (Page.crash).</summary>
    Crash,

    /// <summary>The tab's renderer process stands still for a while (SIGSTOP, SIGCONT).</summary>
    Stop,

    /// <summary>The tab is closed.</summary>
    Close,

    /// <summary>Another tab is opened.</summary>
    Open,

    /// <summary>The page is loaded again.</summary>
    Reload,

    /// <summary>The tab goes to another site, and back after a while, perhaps out of the back/forward cache.</summary>
    Away,

    /// <summary>A hidden page is frozen for a while.</summary>
    Freeze,

    /// <summary>The tab has only a part of a CPU for a while.</summary>
    Throttle,

    /// <summary>A hidden tab comes to the front, which hides the one that was there.</summary>
    Front,

    /// <summary>The origin has little room for a while.</summary>
    Quota,

    /// <summary>A page deletes the database.</summary>
    Delete,

    /// <summary>A page writes a false lease to localStorage.</summary>
    Forge,

    /// <summary>A page removes the lease, or everything, from localStorage.</summary>
    Clear,
}

/// <summary>One fault of a script.</summary>
/// <param name="At">When it begins.</param>
/// <param name="For">How long it lasts; zero when there is nothing to end.</param>
/// <param name="Fault">What.</param>
/// <param name="Pick">Which of the tabs that it can befall.</param>
/// <param name="Detail">How, where there are several ways.</param>
public sealed record FaultEvent(TimeSpan At, TimeSpan For, Fault Fault, int Pick, int Detail);

/// <summary>All that a seed decides.</summary>
public sealed record ChaosScript(int Seed, TimeSpan Duration, int Tabs, IReadOnlyList<FaultEvent> Faults)
{
    /// <summary>Long enough for a history to be worth losing.</summary>
    private static readonly TimeSpan DeletionPause = TimeSpan.FromSeconds(25);

    /// <summary>Every second seed has little room at first, three of four delete the database.</summary>
    public static ChaosScript Create(int seed, TimeSpan duration)
    {
        var dice = new Random(seed);
        var faults = new List<FaultEvent>();
        if (seed % 2 == 1) faults.AddRange(Shortages(dice, duration));
        if (seed % 4 != 1) faults.AddRange(Deletions(dice, duration));

        var at = Seconds(1 + dice.NextDouble());
        var bag = new Stack<Fault>();
        while (at < duration)
        {
            // Every kind comes before any comes twice.
            if (bag.Count == 0) bag = new(Shuffled(dice));
            var fault = bag.Pop();
            faults.Add(new(at, Length(fault, dice), fault, dice.Next(1000), dice.Next(1000)));
            at += Seconds(0.15 + 1.3 * dice.NextDouble());
        }

        return new(seed, duration, 4 + dice.Next(3), faults);
    }

    /// <summary>Chromium believes in the room that it once saw for up to 30 s. So it is little before the first tab opens, and again at half time.</summary>
    private static IEnumerable<FaultEvent> Shortages(Random dice, TimeSpan duration)
    {
        yield return new(TimeSpan.Zero, duration * (0.25 + 0.15 * dice.NextDouble()), Fault.Quota, 0, dice.Next(1000));
        yield return new(duration * 0.5, duration * 0.45, Fault.Quota, 0, dice.Next(1000));
    }

    private static IEnumerable<FaultEvent> Deletions(Random dice, TimeSpan duration)
    {
        var first = DeletionPause < duration ? DeletionPause : duration;
        for (var at = first * (0.2 + 0.6 * dice.NextDouble()); at < duration; at += DeletionPause) yield return new(at, TimeSpan.Zero, Fault.Delete, 0, 0);
    }

    private static Fault[] Shuffled(Random dice)
    {
        Fault[] kinds = [.. Enum.GetValues<Fault>().Where(kind => kind is not (Fault.Quota or Fault.Delete)), Fault.Open, Fault.Stop];
        dice.Shuffle(kinds);
        return kinds;
    }

    private static TimeSpan Length(Fault fault, Random dice) => fault switch
    {
        // One of two is longer than a lease.
        Fault.Stop => dice.Next(2) == 0 ? Seconds(0.2 + 2 * dice.NextDouble()) : Seconds(5.5 + 2 * dice.NextDouble()),
        Fault.Freeze => Seconds(2 + 5 * dice.NextDouble()),
        Fault.Away => Seconds(0.3 + 3 * dice.NextDouble()),
        Fault.Throttle => Seconds(2 + 4 * dice.NextDouble()),
        _ => TimeSpan.Zero,
    };

    private static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(seconds);
}
