// Deferred writes that are kept until they are durable, in the database "datasync-outbox:{scope}", version 1:
//   writes      key [queue, number]: Uint8Array
// and who is there: Web Locks "datasync-outbox:{scope}:{queue}" and ":heir", and a BroadcastChannel for tabs that open.
//
// Each export is one atomic step: one transaction, answered once, when it is complete or aborted, or one lock. A connection that
// was lost is opened again by the next one. What the bytes are, and who takes which lock, is .NET's affair. Locks are kept while
// the page is frozen or cached: what it has on its way is its own until it ends.

import { askFactory } from './databases.js';

const WRITES = 'writes';

const connections = new Map(); // name -> the open database
const letGos = new Map(); // request -> what lets go of its lock, or stops waiting for it
const channels = new Map(); // number -> a channel that is listened to
let dotnet;
let handed; // the bytes that .NET is asked to take in this very call

/** Connects the module to its .NET half; once, before anything else. */
export async function init() {
  const exports = await globalThis.getDotnetRuntime(0).getAssemblyExports('DataSync.Storage.dll');
  dotnet = exports.DataSync.Storage.JournalInterop;
}

/** Whether tabs can know of each other. */
export function hasLocks() {
  return Boolean(globalThis.navigator?.locks);
}

/** Takes a lock if it is free or, if it waits, once it is; answers whether it was given. It is held until it is let go. */
export function hold(request, name, waits) {
  const stop = new AbortController();
  letGos.set(request, () => stop.abort());
  navigator.locks.request(name, waits ? { signal: stop.signal } : { ifAvailable: true }, lock => {
    if (!lock || stop.signal.aborted) {
      dotnet.OnHeld(request, false);
      return undefined;
    }
    return new Promise(letGo => {
      letGos.set(request, letGo);
      dotnet.OnHeld(request, true);
    });
  }).catch(error => {
    if (stop.signal.aborted) dotnet.OnHeld(request, false);
    else fail(request, error, true);
  }).finally(() => letGos.delete(request));
}

/** Lets go of a lock, or stops waiting for it. */
export function letGo(request) {
  letGos.get(request)?.();
  letGos.delete(request);
}

/** Answers with the rest of the names of all locks that are held and begin so, one a line. */
export function findHeld(request, prefix) {
  navigator.locks.query().then(({ held }) => {
    const names = held.map(lock => lock.name).filter(name => name.startsWith(prefix));
    dotnet.OnFound(request, names.map(name => name.slice(prefix.length)).join('\n'));
  }, error => fail(request, error, true));
}

/** Tells whoever listens that a tab is there. */
export function announce(name, queue) {
  const channel = new BroadcastChannel(name);
  channel.postMessage(queue);
  channel.close();
}

/** Hears of tabs that announce themselves, until it is closed. */
export function listen(number, name) {
  const channel = new BroadcastChannel(name);
  channel.onmessage = ({ data }) => { if (typeof data === 'string') dotnet.OnOpened(number, data); };
  channels.set(number, channel);
}

/** Hands all entries to .NET, in the order of their keys. */
export function read(request, name) {
  run(request, name, 'readonly', writes => {
    const keys = writes.getAllKeys();
    const values = writes.getAll();
    values.onsuccess = () => keys.result.forEach(([queue, number], i) => {
      const value = values.result[i];
      // What came through a frame is of that frame's class; .NET takes this page's alone.
      handed = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
      dotnet.OnEntry(request, queue, number, handed.byteLength);
      handed = undefined;
    });
  });
}

/** Adds an entry. */
export function append(request, name, queue, number, bytes) {
  const value = bytes.slice(); // before this call ends
  run(request, name, 'readwrite', writes => writes.add(value, [queue, number]));
}

/** Puts other bytes in an entry's place. */
export function replace(request, name, queue, number, bytes) {
  const value = bytes.slice();
  run(request, name, 'readwrite', writes => writes.put(value, [queue, number]));
}

/** Removes entries, named by their keys as JSON. */
export function remove(request, name, keys) {
  run(request, name, 'readwrite', writes => {
    for (const key of JSON.parse(keys)) writes.delete(key);
  });
}

/** Closes the connection, and a channel that is listened to; transactions under way still end. */
export function close(name, channel) {
  connections.get(name)?.close();
  connections.delete(name);
  channels.get(channel)?.close();
  channels.delete(channel);
}

/** Copies the entry at hand into .NET memory. */
export function take(target) {
  target.set(handed);
}

function run(request, name, mode, issue) {
  connect(request, name, db => {
    let transaction;
    try {
      transaction = db.transaction(WRITES, mode, { durability: 'strict' });
      transaction.oncomplete = () => dotnet.OnDone(request);
      transaction.onabort = () => fail(request, transaction.error, false);
      issue(transaction.objectStore(WRITES));
      if (mode === 'readwrite') transaction.commit?.(); // it needs nothing more from this page
    } catch (error) {
      fail(request, error, false);
      if (transaction) transaction.abort();
      else forget(name, db); // it is closed, and nobody has said so
    }
  });
}

function connect(request, name, use) {
  const open = connections.get(name);
  if (open) {
    use(open);
    return;
  }
  const opening = askFactory(databases => databases.open(name, 1), {
    onsuccess: db => {
      connections.get(name)?.close(); // of another call that opened it meanwhile: its transaction still ends
      connections.set(name, db);
      db.onversionchange = db.onclose = () => forget(name, db);
      use(db);
    },
    onblocked: null,
    onfailed: error => fail(request, error, true),
  });
  if (opening) opening.onupgradeneeded = () => opening.result.createObjectStore(WRITES);
}

function forget(name, db) {
  db.close();
  if (connections.get(name) === db) connections.delete(name);
}

function fail(request, error, isOpening) {
  dotnet.OnFailed(request, error?.name ?? 'AbortError', error?.message ?? '', isOpening);
}
