// @journeyapps/wa-sqlite with one of its example VFSes; synchronous=FULL, its way of being durable.
import { CREATE, INSERT, SELECT_ALL, SELECT_ONE, SUM, fillSql, valuesOf } from '../rows.js';
import { retryBusy } from '../busy.js';

const ROOT = '/npm/@journeyapps/wa-sqlite';
let api;
let vfs;
let SQLite;

export async function load({ vfs: name, build }) {
  SQLite = await import(`${ROOT}/src/sqlite-api.js`);
  const { default: factory } = await import(`${ROOT}/dist/${build}.mjs`);
  const module = await factory();
  api = SQLite.Factory(module);
  vfs = await (await import(`${ROOT}/src/examples/${name}.js`))[name].create('bench', module);
  api.vfs_register(vfs, true);
}

export async function open(name) {
  const db = await api.open_v2(`${name}.db`);
  await api.exec(db, 'PRAGMA synchronous = FULL');
  await retryBusy(() => api.exec(db, CREATE));
  const database = new Database(db);
  await database.prepare();
  return database;
}

class Database {
  #db;
  #insert;
  #one;
  #all;

  constructor(db) {
    this.#db = db;
  }

  async prepare() {
    this.#insert = await this.#statement(INSERT);
    this.#one = await this.#statement(SELECT_ONE);
    this.#all = await this.#statement(SELECT_ALL);
  }

  async #statement(sql) {
    for await (const statement of api.statements(this.#db, sql, { unscoped: true })) return statement;
    throw new Error('no statement');
  }

  insertOne(row) {
    return retryBusy(() => this.#add(row));
  }

  async #add(row) {
    try {
      api.bind_collection(this.#insert, valuesOf(row));
      await api.step(this.#insert);
    } finally {
      await api.reset(this.#insert);
    }
  }

  async insertMany(rows) {
    await api.exec(this.#db, 'BEGIN IMMEDIATE');
    for (const row of rows) {
      api.bind_collection(this.#insert, valuesOf(row));
      await api.step(this.#insert);
      await api.reset(this.#insert);
    }
    await api.exec(this.#db, 'COMMIT');
  }

  async points(ids) {
    const rows = [];
    for (const id of ids) {
      api.bind_int(this.#one, 1, id);
      await this.#read(this.#one, rows);
    }
    return rows;
  }

  async scan() {
    const rows = [];
    await this.#read(this.#all, rows);
    return rows;
  }

  async #read(statement, rows) {
    while (await api.step(statement) === SQLite.SQLITE_ROW) {
      const [id, name, value, payload] = api.row(statement);
      rows.push({ id, name, value, payload });
    }
    await api.reset(statement);
  }

  async #select(sql) {
    let result;
    await retryBusy(() => api.exec(this.#db, sql, row => { result = row; }));
    return result;
  }

  async sum() {
    const [count, sum] = await this.#select(SUM);
    return { count, sum };
  }

  async fill(first, count) {
    await api.exec(this.#db, fillSql(first, count));
  }

  async clear() {
    await api.exec(this.#db, 'DELETE FROM t');
  }

  async count() {
    return (await this.#select('SELECT count(*) FROM t'))[0];
  }

  async close() {
    for (const statement of [this.#insert, this.#one, this.#all]) await api.finalize(statement);
    await api.close(this.#db);
    await vfs.close?.();
  }
}
