using System.Globalization;
using Xunit;

namespace DataSync.Contracts.Scripts;

/// <summary>
/// SQLite on DataSync against the same SQLite on its own VFS: random scripts, every statement's rows, codes and counters, and
/// what is there at the end and after a recovery.
/// </summary>
public abstract class SqlScriptContract : IAsyncLifetime
{
    public Task InitializeAsync() => RegisterVfsAsync();

    public Task DisposeAsync() => Task.CompletedTask;

    /// <summary>Makes the VFS known to SQLite; called before each test.</summary>
    protected abstract Task RegisterVfsAsync();

    /// <summary>The VFS to compare with; null for SQLite's default.</summary>
    protected abstract string? ReferenceVfs { get; }

    /// <summary>A file on that VFS that does not exist.</summary>
    protected abstract string NewReferenceFile();

    /// <summary>
    /// Runs a range of seeds, or those that the environment variable DATASYNC_SQL_SEEDS names: <c>312</c>, or <c>5000+200</c> for two
    /// hundred of them.
    /// </summary>
    /// <param name="first">The first seed.</param>
    /// <param name="count">How many.</param>
    /// <param name="least">How often each kind of step must have run.</param>
    protected async Task<SqlCoverage> RunAsync(int first, int count, int least)
    {
        var chosen = Environment.GetEnvironmentVariable("DATASYNC_SQL_SEEDS");
        if (!string.IsNullOrEmpty(chosen))
        {
            var numbers = chosen.Split('+').Select(part => int.Parse(part, CultureInfo.InvariantCulture)).ToArray();
            (first, count) = (numbers[0], numbers.ElementAtOrDefault(1) is var wanted and > 0 ? wanted : 1);
        }

        var coverage = new SqlCoverage();
        for (var seed = first; seed < first + count; seed++)
        {
            var run = new SqlScriptRun(seed);
            await run.RunAsync(ReferenceVfs, NewReferenceFile);
            coverage.Add(run.Coverage);
        }

        if (string.IsNullOrEmpty(chosen)) coverage.Assert(least);
        return coverage;
    }
}
