using DataSync.MultiTab.Browser;
using DataSync.MultiTab.Engines;
using Xunit;
using Xunit.Abstractions;

[assembly: TestCollectionOrderer("DataSync.MultiTab.LongestFirst", "DataSync.MultiTab")]

namespace DataSync.MultiTab;

/// <summary>
/// The order in which collections are begun: the longest ones first, so that none is left to the end with a core to itself. As many run at a time as there are cores: what they wait for are pages, which
/// have the processor busy meanwhile.
/// </summary>
public sealed class LongestFirst : ITestCollectionOrderer
{
    private static readonly string[] Longest = [BrowserCollection.Name, WebKitCollection.Name, AppCollection.Name, EnginesCollection.Name, ContractCollection.Name, CrashPointCollection.Name];

    public IEnumerable<ITestCollection> OrderTestCollections(IEnumerable<ITestCollection> testCollections) =>
        testCollections.OrderBy(collection => Array.IndexOf(Longest, collection.DisplayName) is >= 0 and var at ? at : Longest.Length);
}
