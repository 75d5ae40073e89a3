// Deferred writes that are kept until they are durable, in the database "datasync-outbox:{scope}", version 1:
//   writes      key [queue, number]: Uint8Array
//
// Each export is one atomic step: one transaction, answered once, when it is complete or aborted. A connection that was lost is
// opened again by the next one. What the bytes are is .NET's affair.

import { askFactory } from './databases.js';

const WRITES = 'writes';

const connections = new Map(); // name -> the open database
let dotnet;
let handed; // the bytes that .NET is asked to take in this very call

/** Connects the module to its .NET half; once, before anything else. */
export async function init() {
  const exports = await globalThis.getDotnetRuntime(0).getAssemblyExports('DataSync.Storage.dll');
  dotnet = exports.DataSync.Storage.JournalInterop;
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

/** Removes entries, named by their keys as JSON. */
export function remove(request, name, keys) {
  run(request, name, 'readwrite', writes => {
    for (const key of JSON.parse(keys)) writes.delete(key);
  });
}

/** Closes the connection; transactions under way still end. */
export function close(name) {
  connections.get(name)?.close();
  connections.delete(name);
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
