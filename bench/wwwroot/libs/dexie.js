// Dexie on IndexedDB: objects in tables, no SQL. What its live queries read they see by themselves, in every tab.
import { makeRows } from '../rows.js';

let dexie;

export async function load() {
  dexie = await import('/npm/dexie/dist/dexie.mjs');
}

export async function open(name) {
  const db = new dexie.Dexie(`dexie:${name}`);
  db.version(1).stores({ t: 'id', o: 'id' });
  await db.open();
  return new Database(db);
}

class Database {
  #db;

  constructor(db) {
    this.#db = db;
  }

  insertOne(row) {
    return this.#db.t.add(row);
  }

  insertMany(rows) {
    return this.#db.t.bulkAdd(rows);
  }

  async points(ids) {
    const rows = [];
    for (const id of ids) rows.push(await this.#db.t.get(id));
    return rows;
  }

  scan() {
    return this.#db.t.toArray();
  }

  async sum() {
    let count = 0, sum = 0;
    await this.#db.t.each(row => { count++; sum += row.value; });
    return { count, sum };
  }

  async fill(first, count) {
    await this.#db.t.bulkAdd(makeRows(first, count));
  }

  async clear() {
    await this.#db.t.clear();
  }

  count() {
    return this.#db.t.count();
  }

  async watch(listener, own, others) {
    const { liveQuery } = dexie;
    liveQuery(() => this.#db.t.orderBy('id').reverse().limit(20).toArray()).subscribe(listener);
    for (let i = 1; i < own; i++) liveQuery(() => this.#db.t.where('id').above(i).count()).subscribe(() => { });
    for (let i = 0; i < others; i++) liveQuery(() => this.#db.o.where('id').above(i).count()).subscribe(() => { });
  }

  async close() {
    this.#db.close();
  }
}
