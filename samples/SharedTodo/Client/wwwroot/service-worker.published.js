// Keeps the published page for use without a network: all of its files, of one version at a time. (The playground's does more: tabs of several versions.)

self.importScripts('./service-worker-assets.js');

const { version, assets } = self.assetsManifest;
const { scope } = self.registration;
const name = `shared-todo ${version}`;
const index = new URL('index.html', scope).href;
const files = new Set(assets.map(({ url }) => new URL(url, scope).href));

self.addEventListener('install', event => event.waitUntil(install()));
self.addEventListener('activate', event => event.waitUntil(removeOthers()));
self.addEventListener('fetch', event => {
  const { method, mode, url } = event.request;
  const address = mode === 'navigate' && url.split(/[?#]/)[0] === scope ? index : url;
  if (method === 'GET' && files.has(address)) event.respondWith(answer(address, event.request));
});

async function install() {
  const cache = await caches.open(name);
  await cache.addAll(assets.map(({ url, hash }) => new Request(new URL(url, scope), { integrity: hash, cache: 'no-cache' })));
}

async function removeOthers() {
  for (const other of await caches.keys()) if (other !== name && other.startsWith('shared-todo ')) await caches.delete(other);
}

async function answer(address, request) {
  return await caches.match(address, { cacheName: name, ignoreVary: true }) ?? fetch(request);
}
