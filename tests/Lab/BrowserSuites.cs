using DataSync.Contracts;

namespace DataSync.Lab;

// One class for each contract that must hold in the browser. tests/MultiTab runs every one in a fresh tab.
public sealed class BrowserRuntime : RuntimeContract;
