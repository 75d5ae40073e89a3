using System.Text.Json;
using Microsoft.Playwright;
using Xunit;

namespace DataSync.MultiTab.Browser;

/// <summary>A failed call's <c>Error</c>: the .NET exception's type name and its message.</summary>
public sealed record PageFailure(string Name, string Message);

/// <summary>Short forms of <c>globalThis.datasync</c> for a tab of the playground.</summary>
public static class DatabasePage
{
    /// <summary>Opens the playground and waits until its database is open.</summary>
    public static async Task<IPage> OpenDatabaseAsync(this TabGroup tabs, string query = "")
    {
        var page = await tabs.OpenAsync(query);
        await page.EvaluateAsync("datasync.ready");
        return page;
    }

    /// <summary>Every row as JSON text; blobs as the list of their bytes.</summary>
    public static Task<string[]> RowsAsync(this IPage page, string sql) => page.EvaluateAsync<string[]>(
        "async sql => (await datasync.query(sql)).map(row => JSON.stringify(Object.values(row), (key, value) => value instanceof Uint8Array ? [...value] : value))", sql);

    /// <summary>Replaces the tab's database by a file.</summary>
    public static Task ImportAsync(this IPage page, byte[] file) =>
        page.EvaluateAsync("async base64 => datasync.import(new Uint8Array(await (await fetch('data:;base64,' + base64)).arrayBuffer()))", Convert.ToBase64String(file));

    /// <summary>The body of an asynchronous function that returns the tab's database as a data URL.</summary>
    internal const string ExportBody = """
        const bytes = await datasync.export();
        return await new Promise(resolve => {
          const reader = new FileReader();
          reader.onload = () => resolve(reader.result);
          reader.readAsDataURL(new Blob([bytes]));
        });
        """;

    /// <summary>The tab's database as a file.</summary>
    public static async Task<byte[]> ExportAsync(this IPage page) => ReadExport(await page.EvaluateAsync<string>($"async () => {{ {ExportBody} }}"));

    /// <summary>The bytes in what <see cref="ExportBody"/> returned.</summary>
    internal static byte[] ReadExport(string url) => Convert.FromBase64String(url[(url.IndexOf(',', StringComparison.Ordinal) + 1)..]);

    /// <summary>Evaluates a promise that must be rejected.</summary>
    public static async Task<PageFailure> FailureOfAsync(this IPage page, string expression, object? argument = null)
    {
        var failure = await page.EvaluateAsync($$"""
            async argument => {
              try {
                await ({{expression}});
                return null;
              } catch (error) {
                return { name: error.name, message: error.message };
              }
            }
            """, argument);
        Assert.True(failure is { ValueKind: JsonValueKind.Object }, $"This should have failed, and did not: {expression}");
        return new(failure!.Value.GetProperty("name").GetString()!, failure.Value.GetProperty("message").GetString()!);
    }
}
