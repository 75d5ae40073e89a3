// The service worker that keeps the page for use without a network, and the next version of the page. Nothing here decides when to change over.

// Read before anything else, since another tab can change over while .NET starts. None on the first visit, and after a reload past the cache.
let own = navigator.serviceWorker?.controller ?? null;
let registration;

/**
 * Registers the worker, and looks for a new version when the page becomes visible. Calls changed(isWaiting, isReplaced) when a version waits
 * to take over, or when one has taken over since this page was loaded. False: there is no service worker here (plain HTTP, some private windows).
 */
export async function watch(changed) {
  registration = await navigator.serviceWorker?.register('service-worker.js', { updateViaCache: 'none' }).catch(() => undefined);
  if (!registration) return false;
  const report = () => {
    own ??= registration.active;
    changed(own !== null && registration.waiting !== null, registration.active !== own);
  };
  const follow = worker => worker?.addEventListener('statechange', report);
  follow(registration.installing);
  follow(registration.waiting);
  registration.addEventListener('updatefound', () => follow(registration.installing));
  document.addEventListener('visibilitychange', () => {
    // Without a network there is nothing new.
    if (document.visibilityState === 'visible') registration.update().catch(() => {});
  });
  report();
  return true;
}

/** Lets the version that waits take over; returns when it answers this page's next load. */
export async function activate() {
  const worker = registration.waiting;
  if (!worker) return;
  const settled = new Promise(done => worker.addEventListener('statechange', () => ['activated', 'redundant'].includes(worker.state) && done()));
  worker.postMessage('activate');
  await settled;
}

export const reload = () => location.reload();
