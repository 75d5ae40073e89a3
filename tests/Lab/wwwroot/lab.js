// Starts .NET and offers the suites as globalThis.lab; lab.ready is pending until .NET runs.
import { dotnet } from './_framework/dotnet.js';

const exports = (async () => {
  const { getAssemblyExports, getConfig, runMain } = await dotnet.create();
  await runMain(getConfig().mainAssemblyName, []);
  return (await getAssemblyExports(getConfig().mainAssemblyName)).DataSync.Lab.Lab;
})();

globalThis.lab = {
  ready: exports.then(() => true),
  classes: async () => JSON.parse((await exports).Classes()),
  run: async (className, testNamePart = null) => JSON.parse(await (await exports).Run(className, testNamePart)),
};
