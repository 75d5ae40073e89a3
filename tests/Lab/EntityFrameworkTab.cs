using System.Data.Common;
using System.Globalization;
using System.Runtime.InteropServices.JavaScript;
using DataSync.Contracts;
using DataSync.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Diagnostics;

namespace DataSync.Lab;

/// <summary>Ordinary contexts of EF Core in a real tab, step by step, for tests with several of them.</summary>
internal static partial class EntityFrameworkTab
{
    private static int saved;

    /// <summary>Makes the tables of <see cref="BlogContext"/>, or finds them.</summary>
    [JSExport]
    internal static async Task Create(string database)
    {
        await using var context = await BlogsAsync(database);
        await context.Database.EnsureCreatedAsync();
    }

    /// <summary>Saves this many blogs, one context and one save each; returns how many were acknowledged.</summary>
    [JSExport]
    internal static async Task<int> Save(string database, string name, int count)
    {
        for (saved = 0; saved < count; saved++)
        {
            await using var context = await BlogsAsync(database);
            context.Add(new Blog { Name = $"{name}{saved}", Posts = saved % 2 == 0 ? [] : [new() { Title = "with a transaction" }] });
            await context.SaveChangesAsync();
        }

        return saved;
    }

    /// <summary>How many blogs <see cref="Save"/> has had acknowledged so far.</summary>
    [JSExport]
    internal static int Saved() => saved;

    /// <summary>The names of the blogs, sorted, one in each line.</summary>
    [JSExport]
    internal static async Task<string> Names(string database)
    {
        await using var context = await BlogsAsync(database);
        return string.Join('\n', (await context.Blogs.AsNoTracking().Select(blog => blog.Name).ToListAsync()).Order(StringComparer.Ordinal));
    }

    /// <summary>Migrates to a migration, or to the last one (empty). One that <paramref name="hangs"/> never comes out of its first ALTER TABLE.</summary>
    [JSExport]
    internal static async Task Migrate(string database, string target, bool hangs)
    {
        var options = await OptionsAsync<NoteContext>(database);
        options.ConfigureWarnings(warnings => warnings.Ignore(RelationalEventId.PendingModelChangesWarning));
        if (hangs) options.AddInterceptors(new Hang());
        await using var context = new NoteContext(options.Options);
        await context.Database.MigrateAsync(target.Length > 0 ? target : null);
    }

    /// <summary>Adds a note to the table as the first migration made it.</summary>
    [JSExport]
    internal static async Task AddOldNote(string database, string text)
    {
        await using var context = new NoteContext((await OptionsAsync<NoteContext>(database)).Options);
        await context.Database.ExecuteSqlAsync($"INSERT INTO Notes(Text) VALUES ({text})");
    }

    /// <summary>Whether a migration hangs.</summary>
    [JSExport]
    internal static bool Hangs() => Hang.IsInside;

    /// <summary>Notes as text and stars, then how many migrations were applied.</summary>
    [JSExport]
    internal static async Task<string> Notes(string database)
    {
        await using var context = new NoteContext((await OptionsAsync<NoteContext>(database)).Options);
        var notes = await context.Notes.AsNoTracking().OrderBy(note => note.Id).ToListAsync();
        var applied = (await context.Database.GetAppliedMigrationsAsync()).Count();
        return string.Create(CultureInfo.InvariantCulture, $"{string.Join(' ', notes.Select(note => $"{note.Text}{note.Stars}"))}|{applied}");
    }

    /// <summary>Keeps the page busy right after the database was opened, then saves; returns the epoch afterwards.</summary>
    [JSExport]
    internal static async Task<int> SaveAfterBusyTime(string database, int milliseconds, string name)
    {
        var factory = await Transactions.Databases.Task;
        var opened = await factory.OpenAsync(database);
        var start = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(start).TotalMilliseconds < milliseconds)
        {
        }

        await using var context = await BlogsAsync(database);
        context.Add(new Blog { Name = name });
        await context.SaveChangesAsync();
        return (int)opened.Coordinator.Epoch.Value;
    }

    private static async Task<BlogContext> BlogsAsync(string database) => new((await OptionsAsync<BlogContext>(database)).Options);

    private static async Task<DbContextOptionsBuilder<T>> OptionsAsync<T>(string database)
        where T : DbContext
    {
        var options = new DbContextOptionsBuilder<T>();
        options.UseDataSync(await Transactions.Databases.Task, database);
        return options;
    }

    private sealed class Hang : DbCommandInterceptor
    {
        public static bool IsInside { get; private set; }

        public override async ValueTask<InterceptionResult<int>> NonQueryExecutingAsync(
            DbCommand command, CommandEventData eventData, InterceptionResult<int> result, CancellationToken cancellationToken = default)
        {
            if (!command.CommandText.Contains("ALTER TABLE", StringComparison.Ordinal)) return result;
            IsInside = true;
            await new TaskCompletionSource().Task;
            return result;
        }
    }
}
