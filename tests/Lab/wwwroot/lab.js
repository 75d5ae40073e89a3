// Starts .NET and offers the suites, probes and scenarios as globalThis.lab; lab.ready is pending until .NET runs.
const runtime = (async () => {
  await globalThis.Blazor.start();
  return (await globalThis.getDotnetRuntime(0).getAssemblyExports('DataSync.Lab')).DataSync.Lab;
})();

globalThis.lab = {
  ready: runtime.then(() => true),
  classes: async () => JSON.parse((await runtime).Lab.Classes()),
  probe: async step => await (await runtime).StoreProbes[step](),
  time: async () => await (await runtime).StoreTimings.Run(),
  run: async (className, testNamePart = null) => JSON.parse(await (await runtime).Lab.Run(className, testNamePart)),
  // Transactions with a delegate, which only .NET code can run; Transactions.cs says what they do.
  appendToChain: async (database, writer, count, isAsync) => await (await runtime).Transactions.Append(database, writer, count, isAsync),
  failInChain: async (database, isAsync) => await (await runtime).Transactions.Fail(database, isAsync),
};
