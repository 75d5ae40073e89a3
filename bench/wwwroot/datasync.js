// Starts .NET and offers DataSync's steps (Client/Steps.cs, EntityFramework/Steps.cs) as the pages of the other libraries offer theirs (page.js).
import { observe } from './heartbeat.js';

const steps = (async () => {
  await globalThis.Blazor.start();
  return (await globalThis.getDotnetRuntime(0).getAssemblyExports(document.documentElement.dataset.assembly)).DataSync.Bench.Client.Steps;
})();

globalThis.bench = {
  ready: steps.then(() => true),
  step: async (name, options) => observe(options, async () => JSON.parse(await (await steps).Run(name, JSON.stringify(options)))),
};
