// Reads and writes the records of a DataSync database past DataSync, for tests that damage a store.
const done = request => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const STORES = { Head: 'head', HeadCopy: 'extents', Log: 'log', Extent: 'extents' };
const isHead = kind => kind === 'Head' || kind === 'HeadCopy';

async function inStore(name, kind, mode, action) {
  const db = await done(indexedDB.open(name));
  try {
    const transaction = db.transaction(STORES[kind], mode);
    const result = await action(transaction.objectStore(STORES[kind]));
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    return result;
  } finally {
    db.close();
  }
}

const toBytes = base64 => Uint8Array.from(atob(base64), character => character.charCodeAt(0));
const toBase64 = bytes => btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(''));
const keyOf = (kind, key) => isHead(kind) ? 'head' : key;

export async function get(name, kind, key) {
  const record = await inStore(name, kind, 'readonly', store => done(store.get(keyOf(kind, key))));
  if (record === undefined) return null;
  if (isHead(kind)) return btoa(JSON.stringify(record));
  return toBase64(kind === 'Log' ? record.data : record);
}

export async function set(name, kind, key, base64, id) {
  await inStore(name, kind, 'readwrite', async store => {
    if (base64 === null) return await done(store.delete(keyOf(kind, key)));
    if (isHead(kind)) return await done(store.put(JSON.parse(atob(base64)), 'head'));
    if (kind === 'Extent') return await done(store.put(toBytes(base64), key));
    const old = await done(store.get(key));
    return await done(store.put({ id: old?.id ?? id, epoch: old?.epoch ?? 0, data: toBytes(base64) }, key));
  });
}

export const setJson = (name, kind, key, json) =>
  inStore(name, kind, 'readwrite', store => done(store.put(JSON.parse(json), keyOf(kind, key)))).then(() => { });

export const countQuarantined = async name => {
  const db = await done(indexedDB.open(name));
  const count = await done(db.transaction('quarantine').objectStore('quarantine').count());
  db.close();
  return count;
};

// Each as "store key base64", one a line.
export const listQuarantined = async name => {
  const db = await done(indexedDB.open(name));
  const kept = await done(db.transaction('quarantine').objectStore('quarantine').getAll());
  db.close();
  return kept.map(({ store, key, value }) => `${store} ${key} ${toBase64(value.data ?? value)}`).join('\n');
};

// A database of this name that DataSync did not make.
export const makeOther = async (name, version) => {
  const opening = indexedDB.open(name, version);
  opening.onupgradeneeded = () => opening.result.createObjectStore('other');
  (await done(opening)).close();
};

let held;
export const hold = async name => { held = await done(indexedDB.open(name)); };
export const release = () => held.close();

export const remove = name => done(indexedDB.deleteDatabase(name)).then(() => { });

// What a page finds where storage is refused.
const original = Object.getOwnPropertyDescriptor(globalThis, 'indexedDB');
export const refuse = how => {
  Object.defineProperty(globalThis, 'indexedDB', {
    configurable: true,
    get() {
      if (how === 'missing') return undefined;
      if (how === 'full') return { open() { throw new DOMException('Internal error opening backing store: FILE_ERROR_NO_SPACE', 'UnknownError'); } };
      if (how === 'throws') throw new DOMException('The operation is insecure.', 'SecurityError');
      return { open() { throw new DOMException('Not here.', 'InvalidStateError'); } };
    },
  });
};

// A browser that takes its time: it is asked only later, and says nothing before.
const real = indexedDB;
const EVENTS = ['onupgradeneeded', 'onblocked', 'onsuccess', 'onerror'];
export const delay = wait_ms => Object.defineProperty(globalThis, 'indexedDB', {
  configurable: true,
  get: () => ({
    open(name, version) {
      let asked;
      const request = { get result() { return asked.result; }, get error() { return asked.error; } };
      setTimeout(() => {
        asked = real.open(name, version);
        for (const event of EVENTS) asked[event] = told => request[event]?.(told);
      }, wait_ms);
      return request;
    },
  }),
});

// A browser that breaks the next openings off, as while it clears the site's data.
export const breakOff = times => Object.defineProperty(globalThis, 'indexedDB', {
  configurable: true,
  get: () => ({
    open(name, version) {
      if (times-- <= 0) return real.open(name, version);
      const request = { error: new DOMException('The connection was closed.', 'AbortError') };
      setTimeout(() => request.onerror?.({ target: request, preventDefault() { } }));
      return request;
    },
  }),
});

export const allow = () => Object.defineProperty(globalThis, 'indexedDB', original);

// Makes the next transactions of the page end as a full disk or a lost connection ends them: at the very end, after every
// request succeeded.
const transaction = IDBDatabase.prototype.transaction;
export const abortWith = (name, message) => {
  IDBDatabase.prototype.transaction = function (...args) {
    const made = transaction.apply(this, args);
    const error = name === 'AbortError' ? null : new DOMException(message, name);
    Object.defineProperty(made, 'error', { get: () => error });
    made.commit = () => made.abort();
    return made;
  };
};
export const stopAborting = () => { IDBDatabase.prototype.transaction = transaction; };
