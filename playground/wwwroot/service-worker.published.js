// Keeps the published page for use without a network. Each version has a cache, filled when it is installed: a file that an older version
// has, too, comes from there, the others from the network. A new version waits until a page asks it to take over (updates.js) or no page
// is open any more. Pages that are open when it takes over keep the files of their own version, until the version after that takes over.

self.importScripts('./service-worker-assets.js');

const { version, assets } = self.assetsManifest;
const { scope } = self.registration;
// Caches are the origin's: apps at other paths have theirs beside these.
const prefix = `datasync-playground ${scope} `;
const cacheName = prefix + version;
const stateName = prefix + 'state';
const addressOf = path => new URL(path, scope).href;
const indexAddress = addressOf('index.html');
const assetsAddress = addressOf('service-worker-assets.js'); // in each cache: which files it was made of
const stateAddress = addressOf('service-worker-state'); // no file: a name in the cache of the state

self.addEventListener('install', event => event.waitUntil(install()));
self.addEventListener('activate', event => event.waitUntil(activate()));
self.addEventListener('message', event => event.data === 'activate' && event.waitUntil(self.skipWaiting()));
self.addEventListener('fetch', event => {
  const { request, clientId } = event;
  if (request.method === 'GET' && request.url.startsWith(scope)) event.respondWith(answer(request, clientId));
});

/** Which version is active, the one before, and the pages that still run that one. */
const readState = async () => await (await caches.match(stateAddress, { cacheName: stateName }))?.json() ?? { active: null, previous: null, olderPages: [] };
// Once a worker is active the state is its own, and stays as it is.
let state;

const ownCaches = async () => (await caches.keys()).filter(name => name.startsWith(prefix) && name !== stateName);

async function install() {
  const cache = await caches.open(cacheName);
  const sources = await findInOlderCaches();
  await cache.put(assetsAddress, new Response(JSON.stringify(assets)));
  await Promise.all(assets.map(async ({ url, hash }) => {
    const address = addressOf(url);
    // It is there when an installation before this one did not get to its end.
    if (await cache.match(address, { ignoreVary: true })) return;
    const source = sources.get(url);
    const known = source && await caches.match(address, { cacheName: source, ignoreVary: true });
    await cache.put(address, known ?? await download(address, hash));
  }));
}

/** For each file that an older cache has under the same address with the same content: the name of that cache. */
async function findInOlderCaches() {
  const sources = new Map();
  for (const name of await ownCaches()) {
    const list = name === cacheName ? undefined : await caches.match(assetsAddress, { cacheName: name });
    const hashes = new Map((await list?.json() ?? []).map(({ url, hash }) => [url, hash]));
    for (const { url, hash } of assets) if (hashes.get(url) === hash) sources.set(url, name);
  }
  return sources;
}

async function download(address, integrity) {
  const response = await fetch(address, { integrity, cache: 'no-cache' });
  if (!response.ok) throw new Error(`${address} was answered with ${response.status}.`);
  // Hosts that serve index.html as its folder redirect, and browsers show no page that comes from a redirected response.
  return response.redirected ? new Response(response.body, response) : response;
}

async function activate() {
  const before = await readState();
  const previous = before.active === cacheName ? before.previous : before.active;
  const pages = previous ? await self.clients.matchAll({ type: 'all', includeUncontrolled: true }) : [];
  const now = { active: cacheName, previous, olderPages: pages.map(page => page.id) };
  await (await caches.open(stateName)).put(stateAddress, new Response(JSON.stringify(now)));
  for (const name of await ownCaches()) if (name !== cacheName && name !== previous) await caches.delete(name);
  // Pages of the first visit, too, so that the next version waits for them.
  await self.clients.claim();
}

async function answer(request, clientId) {
  const { previous, olderPages } = await (state ??= readState());
  // The page itself, whatever its query says. (An app with routes of its own would take every navigation for it.)
  const isPage = request.mode === 'navigate' && [scope, indexAddress].includes(request.url.split(/[?#]/)[0]);
  const address = isPage ? indexAddress : request.url;
  const order = !isPage && olderPages.includes(clientId) ? [previous, cacheName] : [cacheName, previous];
  for (const name of order) {
    const kept = name && await caches.match(address, { cacheName: name, ignoreVary: true });
    if (kept) return kept;
  }
  return fetch(request);
}
