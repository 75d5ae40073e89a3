using Spectre.Console;

namespace DataSync.Cli;

internal static class Program
{
    private static Task<int> Main(string[] args)
    {
#pragma warning disable RS0030 // A command-line tool writes to the console.
        var error = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(System.Console.Error) });
#pragma warning restore RS0030
        return new Tool(AnsiConsole.Console, error).RunAsync(args);
    }
}
