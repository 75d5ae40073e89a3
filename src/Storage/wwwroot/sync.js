// The moments at which a page should make its held commits durable. What is done about them is decided in .NET.

const watches = new Map();
// Safari has no requestIdleCallback.
const whenIdle = globalThis.requestIdleCallback ?? (callback => setTimeout(callback, 0));
const notWhenIdle = globalThis.cancelIdleCallback ?? clearTimeout;
let dotnet;

/** Connects the module to its .NET half; once, before anything else. */
export async function init() {
  const exports = await globalThis.getDotnetRuntime(0).getAssemblyExports('DataSync.Storage.dll');
  dotnet = exports.DataSync.Storage.SyncInterop;
}

/** Watches the page; returns whether it is hidden. */
export function watch(id) {
  const listening = new AbortController();
  const { signal } = listening;
  document.addEventListener('visibilitychange', () => dotnet.OnVisibility(id, document.hidden), { signal });
  addEventListener('pagehide', () => dotnet.OnLeft(id), { signal });
  watches.set(id, { listening, timer: 0, idle: 0 });
  return document.hidden;
}

/** Reports an idle moment once this was not called again for quiet_ms; idle or not, after limit_ms. */
export function schedule(id, quiet_ms, limit_ms) {
  const watch = watches.get(id);
  cancel(id);
  watch.timer = setTimeout(() => {
    watch.idle = whenIdle(() => dotnet.OnIdle(id), { timeout: Math.max(1, limit_ms - quiet_ms) });
  }, Math.min(quiet_ms, limit_ms));
}

/** Takes back what schedule asked for. */
export function cancel(id) {
  const watch = watches.get(id);
  clearTimeout(watch.timer);
  notWhenIdle(watch.idle);
}

/** Ends watch. */
export function unwatch(id) {
  cancel(id);
  watches.get(id).listening.abort();
  watches.delete(id);
}
