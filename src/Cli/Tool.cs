using System.CommandLine;
using DataSync.PostgreSql;
using DataSync.Storage;
using DataSync.Vfs;
using Spectre.Console;

namespace DataSync.Cli;

/// <summary>What the tool ends with.</summary>
internal static class ExitCode
{
    /// <summary>It was done; for <c>verify</c>: the store is sound.</summary>
    public const int Ok = 0;

    /// <summary>The store is damaged.</summary>
    public const int Damaged = 1;

    /// <summary>The command line cannot be understood.</summary>
    public const int Usage = 2;

    /// <summary>There is no store there, another process has it open, or it cannot be reached.</summary>
    public const int Unavailable = 3;

    /// <summary>Anything else: no room, a file that is no database, a file that would be overwritten.</summary>
    public const int Failed = 4;
}

/// <summary>The commands, and what their errors end with. Writes to the two consoles only.</summary>
internal sealed class Tool(IAnsiConsole output, IAnsiConsole error)
{
    private readonly Argument<string> _store = new("store") { Description = "The store's directory, or its name below DATASYNC_FS_BASE; with --postgres the database's name." };
    private readonly Option<string?> _postgres = new("--postgres")
    {
        Description = "The database is in PostgreSQL: Npgsql's connection string. Default: DATASYNC_POSTGRES, where that is set, which other users of the machine do not see.",
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable("DATASYNC_POSTGRES"),
    };

    private readonly Option<string> _schema = new("--schema") { Description = "The schema that DataSync's tables are in, with --postgres.", DefaultValueFactory = _ => new PostgresOptions().Schema };
    private readonly Option<bool> _json = new("--json") { Description = "Write one JSON object and nothing else." };

    /// <summary>Runs a command line; returns the exit code.</summary>
    public async Task<int> RunAsync(string[] args)
    {
        var parsed = MakeRoot().Parse(args);
        var configuration = new InvocationConfiguration { Output = output.Profile.Out.Writer, Error = error.Profile.Out.Writer, EnableDefaultExceptionHandler = false };
        try
        {
            var code = await parsed.InvokeAsync(configuration).ConfigureAwait(false);
            return parsed.Errors.Count > 0 ? ExitCode.Usage : code;
        }
        catch (Exception failure) when (failure is StorageException or DatabaseImportException or IOException or UnauthorizedAccessException or OperationCanceledException or ArgumentException)
        {
            error.Write(new Text(failure.Message + "\n"));
            return failure switch
            {
                CorruptStoreException => ExitCode.Damaged,
                StoreInUseException or StorageUnavailableException => ExitCode.Unavailable,
                ArgumentException => ExitCode.Usage, // of the connection string
                _ => ExitCode.Failed,
            };
        }
    }

    private StorePlace Find(ParseResult parsed)
    {
        var store = parsed.GetValue(_store)!;
        return parsed.GetValue(_postgres) is { Length: > 0 } connection ? StorePlace.InPostgres(connection, parsed.GetValue(_schema)!, store) : StorePlace.InDirectory(store);
    }

    private RootCommand MakeRoot()
    {
        var root = new RootCommand("Looks after DataSync's native stores: directories, and databases in PostgreSQL. Exit codes: 0 done and sound, 1 damaged, 2 usage, 3 no store or in use, 4 failed.");
        var sample = new Option<bool>("--sample") { Description = "Check one block of each extent instead of all." };
        var limit = new Option<int>("--limit") { Description = "Show the last so many commits only.", DefaultValueFactory = _ => 50 };
        var file = new Argument<FileInfo>("file") { Description = "A SQLite database file." };
        var force = new Option<bool>("--force") { Description = "Replace the file if it is there." };
        var damaged = new Option<bool>("--damaged") { Description = "Export what can be read of a damaged store." };
        root.Subcommands.Add(Make("info", "What the store is and holds.", [], (session, report, _) => InfoCommand.RunAsync(session, report)));
        root.Subcommands.Add(Make("verify", "Checks every record and block, and changes nothing.", [sample],
            (session, report, parsed) => VerifyCommands.VerifyAsync(session, report, parsed.GetValue(sample))));
        root.Subcommands.Add(Make("repair", "Removes what is damaged and keeps it aside in the store's quarantine.", [],
            (session, report, _) => VerifyCommands.RepairAsync(session, report)));
        root.Subcommands.Add(Make("log", "The commits that no checkpoint has folded yet.", [limit],
            (session, report, parsed) => LogCommand.RunAsync(session, report, parsed.GetValue(limit))));
        root.Subcommands.Add(Make("export", "Writes the database as a SQLite file.", [file, force, damaged],
            (session, report, parsed) => TransferCommands.ExportAsync(session, report, parsed.GetValue(file)!, parsed.GetValue(force), parsed.GetValue(damaged))));
        root.Subcommands.Add(Make("import", "Replaces the database by a SQLite file, in one commit; makes the store if there is none.", [file],
            (session, report, parsed) => TransferCommands.ImportAsync(session, report, parsed.GetValue(file)!), creates: true));
        root.Subcommands.Add(MakeDelete());
        return root;
    }

    private Command MakeDelete()
    {
        var command = new Command("delete", "Deletes the store and all that is in it, its quarantine included; also one that cannot be opened.") { _store, _json, _postgres, _schema };
        command.SetAction((parsed, cancellationToken) =>
            DeleteCommand.RunAsync(Find(parsed), new Report(output, parsed.GetValue(_json)), cancellationToken));
        return command;
    }

    private Command Make(string name, string description, Symbol[] symbols, Func<StoreSession, Report, ParseResult, Task<int>> run, bool creates = false)
    {
        var command = new Command(name, description) { _store, _json, _postgres, _schema };
        foreach (var symbol in symbols)
        {
            if (symbol is Option option) command.Options.Add(option);
            else command.Arguments.Add((Argument)symbol);
        }

        command.SetAction(async (parsed, cancellationToken) =>
        {
            var session = await StoreSession.OpenAsync(Find(parsed), creates, cancellationToken).ConfigureAwait(false);
            await using (session.ConfigureAwait(false))
                return await run(session, new Report(output, parsed.GetValue(_json)), parsed).ConfigureAwait(false);
        });
        return command;
    }
}
