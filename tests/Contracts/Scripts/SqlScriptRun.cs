using System.Globalization;
using System.Text;
using Xunit;

namespace DataSync.Contracts.Scripts;

/// <summary>How often each kind of step ran, and how often it worked.</summary>
public sealed class SqlCoverage
{
    private const int Error = 1, Abort = 4, Busy = 5, Locked = 6, Constraint = 19, Mismatch = 20;
    private readonly Dictionary<SqlKind, (int Ran, int Worked)> _counts = [];
    private readonly Dictionary<int, int> _failures = [];

    /// <summary>Statements in all.</summary>
    public int Steps => _counts.Values.Sum(count => count.Ran);

    /// <summary>Steps after which a transaction that goes on had written pages already, its cache being full.</summary>
    public int Spills { get; set; }

    /// <summary>Scripts that ran to their end.</summary>
    public int Scripts { get; set; }

    /// <summary>Those of them with two sound databases in SQLite's judgement: some schemas it calls unsound on any VFS.</summary>
    public int Sound { get; set; }

    public void Add(SqlKind kind, SqlOutcome outcome)
    {
        ArgumentNullException.ThrowIfNull(outcome);
        var (ran, good) = _counts.GetValueOrDefault(kind);
        _counts[kind] = (ran + 1, good + (outcome.IsOk ? 1 : 0));
        if (!outcome.IsOk) _failures[outcome.Code & 0xFF] = _failures.GetValueOrDefault(outcome.Code & 0xFF) + 1;
    }

    public void Add(SqlCoverage other)
    {
        ArgumentNullException.ThrowIfNull(other);
        foreach (var (kind, (ran, worked)) in other._counts)
        {
            var (mine, good) = _counts.GetValueOrDefault(kind);
            _counts[kind] = (mine + ran, good + worked);
        }

        foreach (var (code, count) in other._failures) _failures[code] = _failures.GetValueOrDefault(code) + count;
        (Spills, Scripts, Sound) = (Spills + other.Spills, Scripts + other.Scripts, Sound + other.Sound);
    }

    /// <summary>Each kind ran often and mostly worked; what is meant to fail mostly failed, and in several ways.</summary>
    public void Assert(int least)
    {
        foreach (var kind in Enum.GetValues<SqlKind>())
        {
            var (ran, worked) = _counts.GetValueOrDefault(kind);
            var isMeantToFail = kind is SqlKind.Mistake or SqlKind.Violation;
            Xunit.Assert.True(ran >= least, $"{kind} ran {ran} times only.\n{this}");
            Xunit.Assert.True((isMeantToFail ? ran - worked : worked) > ran * 0.4, $"{kind}: {worked} of {ran} worked.\n{this}");
        }

        var ordinary = _counts.Where(entry => entry.Key is not (SqlKind.Mistake or SqlKind.Violation)).Select(entry => entry.Value).ToList();
        Xunit.Assert.True(ordinary.Sum(count => count.Worked) > ordinary.Sum(count => count.Ran) * 0.8, ToString());
        Xunit.Assert.All([Error, Busy, Locked, Constraint, .. least < 100 ? Array.Empty<int>() : [Abort, Mismatch]], code => Xunit.Assert.True(_failures.ContainsKey(code), $"Nothing failed with {code}.\n{this}"));
        Xunit.Assert.True(Spills >= least && Sound >= Scripts * 0.99, ToString());
    }

    public override string ToString() =>
        string.Join('\n', _counts.OrderBy(entry => entry.Key).Select(entry => string.Create(CultureInfo.InvariantCulture, $"{entry.Key}: {entry.Value.Worked} of {entry.Value.Ran}")))
        + string.Create(CultureInfo.InvariantCulture, $"\nFailures: {string.Join(", ", _failures.OrderBy(entry => entry.Key))}; spills: {Spills}; sound: {Sound} of {Scripts}");
}

/// <summary>One script, step by step on DataSync and on SQLite's own VFS, each seeing what the other one sees.</summary>
public sealed class SqlScriptRun(int seed)
{
    private const int Steps = 45;
    private readonly StringBuilder _told = new();

    public SqlCoverage Coverage { get; } = new();

    /// <summary>Runs it.</summary>
    /// <param name="referenceVfs">The VFS to compare with; null for SQLite's default.</param>
    /// <param name="newFile">A file on it that does not exist.</param>
    public async Task RunAsync(string? referenceVfs, Func<string> newFile)
    {
        ArgumentNullException.ThrowIfNull(newFile);
        using var main = new LocalDatabase { IsDurableAtOnce = true };
        using var aux = new LocalDatabase { IsDurableAtOnce = true };
        using var tested = new SqlSession(Vfs.BlockVfs.Name, main.Name, aux.Name);
        using var reference = new SqlSession(referenceVfs, newFile(), newFile());
        var script = new SqlScript(seed);
        Open();
        for (var i = 0; i < Steps || script.IsInside; i++)
        {
            var step = script.Next();
            _told.Append(step).Append('\n');
            var outcome = step.Kind == SqlKind.Reopen ? await ReopenAsync() : Both(step);
            Coverage.Add(step.Kind, outcome);
            if (main.Storage.DirtyBlocks + aux.Storage.DirtyBlocks > 0) Coverage.Spills++;
            script.Observe(step, outcome);
        }

        var dump = reference.Dump();
        AssertSame("the content at the end", dump, tested.Dump());
        Assert.True(tested.MeasureSize() == main.Storage.Size, $"Seed {seed}: the file has {main.Storage.Size} bytes, not as many as its pages.");
        Coverage.Scripts++;
        if (dump.Split("\nok|\n").Length == 3) Coverage.Sound++;
        await main.ReopenAsync();
        await aux.ReopenAsync();
        AssertSame("the content after a recovery", dump, tested.Dump());

        void Open()
        {
            reference.Open(script.Connections, ["PRAGMA synchronous=OFF", .. script.Settings]);
            tested.Open(script.Connections, script.Settings);
        }

        SqlOutcome Both(SqlStep step)
        {
            var outcome = reference.Run(step.ReferenceSql is { } sql ? step with { Sql = sql } : step);
            AssertSame(step.ToString(), outcome.Text, tested.Run(step).Text);
            return outcome;
        }

        async Task<SqlOutcome> ReopenAsync()
        {
            reference.Dispose();
            tested.Dispose();
            await main.ReopenAsync();
            await aux.ReopenAsync();
            Open();
            return new(0, true, "");
        }
    }

    private void AssertSame(string what, string expected, string actual)
    {
        if (expected == actual) return;
        var (one, other) = (expected.Split('\n'), actual.Split('\n'));
        var at = one.Zip(other).TakeWhile(pair => pair.First == pair.Second).Count();
        Assert.Fail(
            $"Seed {seed} differs at: {what}\nSQLite alone, line {at}: {one.ElementAtOrDefault(at)}\nDataSync: {other.ElementAtOrDefault(at)}\n"
            + $"The script so far:\n{_told}");
    }
}
