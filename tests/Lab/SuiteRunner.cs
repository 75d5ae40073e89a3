using System.Reflection;
using Xunit;
using Xunit.Sdk;

namespace DataSync.Lab;

/// <summary>
/// A small stand-in for xunit's runner, which needs threads: runs the facts and theories of a class one after the other, each on
/// a new instance, honouring <see cref="IAsyncLifetime"/>, <see cref="IAsyncDisposable"/> and <see cref="IDisposable"/>.
/// </summary>
internal static class SuiteRunner
{
    /// <summary>More than any one test may take; the page's own caller has a limit for the whole suite.</summary>
    private static readonly TimeSpan TestLimit = TimeSpan.FromSeconds(60);

    public static IEnumerable<MethodInfo> TestMethods(Type suite) =>
        suite.GetMethods().Where(method => method.GetCustomAttribute<FactAttribute>() is { Skip: null });

    public static async Task<List<TestResult>> RunAsync(Type suite, string testNamePart)
    {
        var results = new List<TestResult>();
        foreach (var method in TestMethods(suite).Where(method => method.Name.Contains(testNamePart, StringComparison.Ordinal)))
        {
            foreach (var arguments in ArgumentRows(method))
            {
                var name = arguments.Length == 0 ? method.Name : $"{method.Name}({string.Join(", ", arguments.Select(value => value ?? "null"))})";
                results.Add(await RunOneAsync(suite, method, arguments, name));
            }
        }

        return results;
    }

    private static IEnumerable<object?[]> ArgumentRows(MethodInfo method) => method.GetCustomAttribute<TheoryAttribute>() is null
        ? [[]]
        : method.GetCustomAttributes<DataAttribute>().SelectMany(data => data.GetData(method));

    private static async Task<TestResult> RunOneAsync(Type suite, MethodInfo method, object?[] arguments, string name)
    {
        try
        {
            await RunBodyAsync(suite, method, arguments).WaitAsync(TestLimit);
            return new TestResult(name, true, null);
        }
        catch (Exception error)
        {
            return new TestResult(name, false, (error is TargetInvocationException { InnerException: { } inner } ? inner : error).ToString());
        }
    }

    private static async Task RunBodyAsync(Type suite, MethodInfo method, object?[] arguments)
    {
        var instance = Activator.CreateInstance(suite)!;
        try
        {
            if (instance is IAsyncLifetime lifetime)
            {
                await lifetime.InitializeAsync();
            }

            switch (method.Invoke(instance, arguments))
            {
                case Task task: await task; break;
                case ValueTask task: await task; break;
            }
        }
        finally
        {
            await DisposeAsync(instance);
        }
    }

    private static async Task DisposeAsync(object instance)
    {
        if (instance is IAsyncLifetime lifetime)
        {
            await lifetime.DisposeAsync();
        }

        if (instance is IAsyncDisposable asyncDisposable)
        {
            await asyncDisposable.DisposeAsync();
        }

        (instance as IDisposable)?.Dispose();
    }
}
