// What the playground's page needs from the browser. Nothing here decides anything about the database.

// Drawing takes a tenth of the page's time at most, so that a slow machine has the rest for what is drawn.
const shortestInterval_ms = 100, longestInterval_ms = 1000, drawingShare = 0.1;
let refreshPending = false;
let nextRefresh = 0;

export const query = () => location.search;

async function pageExports() {
  const runtime = globalThis.getDotnetRuntime(0);
  return (await runtime.getAssemblyExports('DataSync.Playground')).DataSync.Playground.Page;
}

/** Calls OnRefresh once for many requests. Animation frames do not come in a hidden tab, so it costs nothing there. */
export function requestRefresh() {
  if (refreshPending) return;
  refreshPending = true;
  requestAnimationFrame(() => {
    setTimeout(async () => {
      const page = await pageExports();
      refreshPending = false;
      const begin = performance.now();
      page.OnRefresh();
      const interval = (performance.now() - begin) / drawingShare;
      nextRefresh = begin + Math.min(Math.max(interval, shortestInterval_ms), longestInterval_ms);
    }, Math.max(0, nextRefresh - performance.now()));
  });
}

/** "noopener" gives each tab its own renderer process: what crashes or hangs one leaves the others alone. */
export function openTabs(count) {
  for (let i = 0; i < count; i++) window.open(location.href, '_blank', 'noopener');
}

export function hang(milliseconds) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

/** Browsers offer no way to crash a page, but laying out elements nested this deep overflows the renderer's stack. */
export function crash() {
  let element = document.createElement('div');
  document.body.append(element);
  for (let depth = 0; depth < 20_000; depth++) element = element.appendChild(document.createElement('div'));
  void document.body.offsetHeight;
  // A browser that survived that runs out of memory here.
  for (const hoard = []; ;) hoard.push(new Array(4_000_000).fill(1.5));
}

export function download(fileName, content) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([content], { type: 'application/vnd.sqlite3' }));
  link.download = fileName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
