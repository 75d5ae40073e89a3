using System.Runtime.InteropServices.JavaScript;
using System.Text.Json;
using System.Text.Json.Serialization;
using DataSync.Contracts;
using Xunit;

namespace DataSync.Lab;

/// <summary>What the page offers as <c>globalThis.lab</c>.</summary>
internal static partial class Lab
{
    private static readonly Type[] Suites =
        [.. typeof(Lab).Assembly.GetTypes().Where(type => type is { IsPublic: true, IsAbstract: false } && SuiteRunner.TestMethods(type).Any())];

    /// <summary>The names of the suites, as a JSON list.</summary>
    [JSExport]
    internal static string Classes() => JsonSerializer.Serialize([.. Suites.Select(type => type.Name)], LabJson.Default.StringArray);

    /// <summary>The names of those that hold on databases of which next to nothing stays in memory, too: see <see cref="TwoTabsContract.OnDemandVariable"/>.</summary>
    [JSExport]
    internal static string OnDemandClasses() =>
        JsonSerializer.Serialize([.. Suites.Where(type => type.IsAssignableTo(typeof(TwoTabsContract))).Select(type => type.Name)], LabJson.Default.StringArray);

    /// <summary>Sets what a suite reads from the environment where there is one.</summary>
    [JSExport]
    internal static void SetVariable(string name, string value) => Environment.SetEnvironmentVariable(name, value);

    /// <summary>Runs one suite, or those of its tests whose name contains a text; returns a JSON list of results.</summary>
    [JSExport]
    internal static async Task<string> Run(string className, string? testNamePart)
    {
        var suite = Suites.SingleOrDefault(type => type.Name == className)
            ?? throw new ArgumentException($"There is no suite '{className}'; there are: {string.Join(", ", Suites.Select(type => type.Name))}.");
        var results = await SuiteRunner.RunAsync(suite, testNamePart ?? "");
        return JsonSerializer.Serialize([.. results], LabJson.Default.TestResultArray);
    }
}

/// <summary>The outcome of one test; <see cref="Error"/> is null when it passed.</summary>
internal sealed record TestResult(string Test, bool Ok, string? Error);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(TestResult[]))]
[JsonSerializable(typeof(string[]))]
[JsonSerializable(typeof(int[]))]
[JsonSerializable(typeof(Dictionary<string, double>))]
internal sealed partial class LabJson : JsonSerializerContext;
