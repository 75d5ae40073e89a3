using System.Diagnostics;
using System.Globalization;
using DataSync.MultiTab.Browser;

namespace DataSync.MultiTab.Engines;

/// <summary>
/// A program in a session of its own, so that all that it starts, and nothing else, can be found and ended. For Linux: the session is
/// made by setsid, and its processes are found in /proc.
/// </summary>
internal sealed class ProcessGroup : IDisposable
{
    private ProcessGroup(Process leader) => Leader = leader;

    public Process Leader { get; }

    /// <param name="environment">On top of this process's own.</param>
    public static ProcessGroup Start(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string> environment)
    {
        // setsid becomes the program, under the same process id.
        var start = new ProcessStartInfo("setsid", [program, .. arguments]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var (name, value) in environment) start.Environment[name] = value;
        return new ProcessGroup(Process.Start(start)!);
    }

    /// <summary>The processes of the session that run now.</summary>
    public IReadOnlyList<Member> Members() =>
        [.. Directory.EnumerateDirectories("/proc").Select(folder => Member.Read(Path.Combine(folder, "stat"))).OfType<Member>().Where(member => member.Session == Leader.Id && !member.HasEnded)];

    /// <summary>Kills those processes, in the order in which they were started, and waits until they have ended.</summary>
    public async Task KillAsync(Func<Member, bool> which)
    {
        using var limit = new CancellationTokenSource(Limits.Step);
        // Again while there are any: one may have started another meanwhile.
        while (Members().Where(which).ToArray() is { Length: > 0 } members)
        {
            foreach (var member in members.OrderBy(member => member.StartTime_ticks)) member.Kill();
            await Task.Delay(TimeSpan.FromMilliseconds(20), TimeProvider.System, limit.Token);
        }
    }

    public void Dispose() => Leader.Dispose();

    /// <summary>A process of the session, as /proc/[pid]/stat tells it.</summary>
    /// <param name="Name">At most 15 characters of it.</param>
    internal sealed record Member(int Id, string Name, bool HasEnded, int Session, long StartTime_ticks)
    {
        public static Member? Read(string path)
        {
            try
            {
                var text = File.ReadAllText(path);
                var (open, close) = (text.IndexOf('(', StringComparison.Ordinal), text.LastIndexOf(')'));
                var rest = text[(close + 2)..].Split(' '); // from the third field on
                long Field(int number) => long.Parse(rest[number - 3], CultureInfo.InvariantCulture);
                return new Member(int.Parse(text[..open], CultureInfo.InvariantCulture), text[(open + 1)..close], rest[0] is "Z" or "X", (int)Field(6), Field(22));
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                return null; // no process, or one that has ended meanwhile
            }
        }

        public void Kill()
        {
            try
            {
                new RendererProcess(Id).Kill();
            }
            catch (Exception error) when (error is ArgumentException or InvalidOperationException)
            {
                // It has ended by itself.
            }
        }
    }
}
