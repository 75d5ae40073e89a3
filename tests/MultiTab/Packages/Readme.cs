using System.Text.RegularExpressions;
using DataSync.MultiTab.Browser;
using Xunit;

namespace DataSync.MultiTab.Packages;

/// <summary>README.md's "Five minutes", as a reader copies it.</summary>
internal static partial class Readme
{
    /// <summary>The commands of the first step, without the remarks behind them.</summary>
    public static IReadOnlyList<string> Commands => [.. Block("").Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Split('#')[0].Trim())];

    /// <summary>What goes into Program.cs.</summary>
    public static string Registration => Block("csharp");

    /// <summary>What goes into a component.</summary>
    public static string Component => Block("razor");

    private static string Block(string language)
    {
        var text = File.ReadAllText(Path.Combine(Build.Repository, "README.md")).ReplaceLineEndings("\n");
        var steps = text[text.IndexOf("## Five minutes", StringComparison.Ordinal)..];
        var fence = Fence().Matches(steps).First(match => match.Groups[1].Value == language);
        Assert.True(fence.Success);
        return Indentation().Replace(fence.Groups[2].Value, "");
    }

    [GeneratedRegex("^   ```([a-z]*)\n(.*?)^   ```\n", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex Fence();

    [GeneratedRegex("^   ", RegexOptions.Multiline)]
    private static partial Regex Indentation();
}
