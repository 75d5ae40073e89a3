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
  run: async (className, testNamePart = null) => JSON.parse(await (await runtime).Lab.Run(className, testNamePart)),
};
