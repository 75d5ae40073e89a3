// Starts .NET and offers the suites and scenarios as globalThis.lab; lab.ready is pending until .NET runs.
const exports = (async () => {
  await globalThis.Blazor.start();
  return (await globalThis.getDotnetRuntime(0).getAssemblyExports('DataSync.Lab')).DataSync.Lab;
})();

globalThis.lab = {
  ready: exports.then(() => true),
  classes: async () => JSON.parse((await exports).Lab.Classes()),
  onDemandClasses: async () => JSON.parse((await exports).Lab.OnDemandClasses()),
  setVariable: async (name, value) => (await exports).Lab.SetVariable(name, value),
  run: async (className, testNamePart = null) => JSON.parse(await (await exports).Lab.Run(className, testNamePart)),
  probe: async step => await (await exports).StoreProbes[step](),
  time: async () => await (await exports).StoreTimings.Run(),
  timeWrites: async () => await (await exports).WriteTimings.Run(),
  // A database and a connection of the app's own, step by step; see ConnectionProbes.cs.
  connection: async (step, ...values) => await (await exports).ConnectionProbes[step](...values),
  // Contexts of EF Core; see EntityFrameworkTab.cs.
  ef: async (step, ...values) => await (await exports).EntityFrameworkTab[step](...values),
  // Live queries, and undo, while other tabs write; see LiveTab.cs and UndoTab.cs.
  live: async (step, ...values) => await (await exports).LiveTab[step](...values),
  undo: async (step, ...values) => await (await exports).UndoTab[step](...values),
  // A fixed sequence of transactions; see CrashScript.cs.
  script: async (step, ...values) => await (await exports).CrashScript[step](...values),
  // Transactions with a delegate, which only .NET code can run; Transactions.cs says what they do.
  appendToChain: async (database, writer, count, isAsync) => await (await exports).Transactions.Append(database, writer, count, isAsync),
  failInChain: async (database, isAsync) => await (await exports).Transactions.Fail(database, isAsync),
};
