// IndexedDB itself: a row is a record. What a library on IndexedDB cannot be faster than.
import { makeRows } from '../rows.js';

const done = request => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

const complete = transaction => new Promise((resolve, reject) => {
  transaction.oncomplete = () => resolve();
  transaction.onabort = () => reject(transaction.error ?? new Error('aborted'));
});

const EXTENT_BYTES = 262144;

export async function open(name, { durability }) {
  const opening = indexedDB.open(`bench:${name}`);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore('t');
    opening.result.createObjectStore('extents');
  };
  return new Records(await done(opening), durability);
}

class Records {
  #db;
  #durability;

  constructor(db, durability) {
    this.#db = db;
    this.#durability = durability;
  }

  #write() {
    return this.#db.transaction('t', 'readwrite', { durability: this.#durability });
  }

  #read() {
    return this.#db.transaction('t').objectStore('t');
  }

  insertOne(row) {
    const transaction = this.#write();
    transaction.objectStore('t').add(row, row.id);
    transaction.commit();
    return complete(transaction);
  }

  insertMany(rows) {
    const transaction = this.#write();
    const store = transaction.objectStore('t');
    for (const row of rows) store.add(row, row.id);
    transaction.commit();
    return complete(transaction);
  }

  async points(ids) {
    const rows = [];
    for (const id of ids) rows.push(await done(this.#read().get(id)));
    return rows;
  }

  scan() {
    return done(this.#read().getAll());
  }

  async sum() {
    const rows = await this.scan();
    let sum = 0;
    for (const row of rows) sum += row.value;
    return { count: rows.length, sum };
  }

  fill(first, count) {
    return this.insertMany(makeRows(first, count));
  }

  clear() {
    const transaction = this.#write();
    transaction.objectStore('t').clear();
    return complete(transaction);
  }

  count() {
    return done(this.#read().count());
  }

  close() {
    this.#db.close();
  }

  /** For W5's limit: as many bytes as a database has, in records of 256 KiB. */
  async fillExtents(bytes) {
    for (let n = 0; n * EXTENT_BYTES < bytes; n++) {
      const transaction = this.#db.transaction('extents', 'readwrite');
      const extent = new Uint8Array(EXTENT_BYTES);
      for (let i = 0; i < extent.length; i += 65536) crypto.getRandomValues(extent.subarray(i, i + 65536));
      transaction.objectStore('extents').put(extent, n);
      await complete(transaction);
    }
  }

  async readExtents() {
    const extents = await done(this.#db.transaction('extents').objectStore('extents').getAll());
    return extents.reduce((sum, extent) => sum + extent.byteLength, 0);
  }
}
