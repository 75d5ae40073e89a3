using System.Globalization;
using DataSync.MultiTab.Browser;
using Xunit;
using Xunit.Abstractions;

namespace DataSync.MultiTab.Engines;

/// <summary>One server and one browser of a kind for those tests that neither end it nor need another; they keep apart by their databases' names.</summary>
public sealed class EngineFixture<TEngine> : IAsyncLifetime
    where TEngine : IEngine, new()
{
    private readonly string profile = Directory.CreateTempSubdirectory("datasync-engine-").FullName;
    private readonly OutputOfCurrentTest output = new();
    private IEngineBrowser? shared;
    private int testCount;
    private long testStart;
    private TimeSpan testTime;

    public TEngine Engine { get; } = new();

    public AppServer Server { get; private set; } = null!;

    public async Task InitializeAsync()
    {
        if (EngineChoice.SkipReason(Engine) is null) Server = await PlaygroundServer.StartAsync();
    }

    /// <summary>A test begins; returns its number.</summary>
    public int Begin(ITestOutputHelper testOutput)
    {
        if (Engine.Missing is { } missing) throw new InvalidOperationException($"DATASYNC_ENGINES_REQUIRED is set, and this is not installed: {missing}.");
        output.Current = testOutput;
        testStart = TimeProvider.System.GetTimestamp();
        return ++testCount;
    }

    /// <summary>It has ended.</summary>
    public void End() => testTime += TimeProvider.System.GetElapsedTime(testStart);

    public async Task<IEngineBrowser> SharedBrowserAsync() => shared ??= await Engine.StartAsync(profile, output);

    /// <summary>Adds a line such as "firefox 140.5: 11 tests in 200 s" to the file that DATASYNC_ENGINES_REPORT names.</summary>
    public async Task DisposeAsync()
    {
        if (testCount > 0 && Environment.GetEnvironmentVariable("DATASYNC_ENGINES_REPORT") is { Length: > 0 } report)
        {
            var version = (await SharedBrowserAsync()).Version;
            var line = string.Create(CultureInfo.InvariantCulture, $"{Engine.Name} {version}: {testCount} tests in {testTime.TotalSeconds:0} s");
            lock (EngineChoice.Reporting) File.AppendAllLines(report, [line]); // the engines' fixtures end at the same time
        }

        if (shared is not null) await shared.DisposeAsync();
        if (Server is not null) await Server.DisposeAsync();
        TemporaryFolder.Delete(profile);
    }

    /// <summary>The shared browser outlives the tests; what its pages write belongs to the one that runs.</summary>
    private sealed class OutputOfCurrentTest : ITestOutputHelper
    {
        public ITestOutputHelper? Current { private get; set; }

        public void WriteLine(string message) => Current?.WriteLine(message);

        public void WriteLine(string format, params object[] args) => Current?.WriteLine(format, args);
    }
}

/// <summary>What all browsers are to do.</summary>
[CollectionDefinition(Name)]
public sealed class EnginesCollection : ICollectionFixture<EngineFixture<ChromiumEngine>>, ICollectionFixture<EngineFixture<FirefoxEngine>>
{
    public const string Name = "Engines";
}

/// <summary>The same in WebKit, which takes much longer.</summary>
[CollectionDefinition(Name)]
public sealed class WebKitCollection : ICollectionFixture<EngineFixture<WebKitEngine>>
{
    public const string Name = "WebKit";
}
