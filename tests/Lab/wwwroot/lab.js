// Starts .NET and offers the suites as globalThis.lab; lab.ready is pending until .NET runs.
import { dotnet } from './_framework/dotnet.js';

const runtime = (async () => {
  const { getAssemblyExports, getConfig, runMain } = await dotnet.create();
  await runMain(getConfig().mainAssemblyName, []);
  return (await getAssemblyExports(getConfig().mainAssemblyName)).DataSync.Lab;
})();

globalThis.lab = {
  ready: runtime.then(() => true),
  classes: async () => JSON.parse((await runtime).Lab.Classes()),
  probe: async step => await (await runtime).StoreProbes[step](),
  time: async () => await (await runtime).StoreTimings.Run(),
  timeWrites: async () => await (await runtime).WriteTimings.Run(),
  run: async (className, testNamePart = null) => JSON.parse(await (await runtime).Lab.Run(className, testNamePart)),
// Starts .NET and offers the suites and scenarios as globalThis.lab; lab.ready is pending until .NET runs.
const exports = (async () => {
  await globalThis.Blazor.start();
  return (await globalThis.getDotnetRuntime(0).getAssemblyExports('DataSync.Lab')).DataSync.Lab;
})();

globalThis.lab = {
  ready: exports.then(() => true),
  classes: async () => JSON.parse((await exports).Lab.Classes()),
  run: async (className, testNamePart = null) => JSON.parse(await (await exports).Lab.Run(className, testNamePart)),
  // Transactions with a delegate, which only .NET code can run; Transactions.cs says what they do.
  appendToChain: async (database, writer, count, isAsync) => await (await exports).Transactions.Append(database, writer, count, isAsync),
  failInChain: async (database, isAsync) => await (await exports).Transactions.Fail(database, isAsync),
};
