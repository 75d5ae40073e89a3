// SQLite's own build with its object API (oo1): in memory, or in OPFS through the pool of access handles.
import { CREATE, INSERT, SELECT_ALL, SELECT_ONE, SUM, fillSql, valuesOf } from '../rows.js';

let sqlite3;
let pool;

export async function load({ vfs }) {
  const { default: init } = await import('/npm/@sqlite.org/sqlite-wasm/dist/index.mjs');
  sqlite3 = await init({ print: () => {}, printErr: () => {} });
  if (vfs === 'opfs-sahpool') pool = await sqlite3.installOpfsSAHPoolVfs({ initialCapacity: 12 });
}

export function open(name, { vfs }) {
  return new Database(vfs === 'memory' ? new sqlite3.oo1.DB(':memory:') : new pool.OpfsSAHPoolDb(`/${name}.db`));
}

class Database {
  #db;
  #insert;
  #one;
  #all;

  constructor(db) {
    this.#db = db;
    db.exec(CREATE);
    this.#insert = db.prepare(INSERT);
    this.#one = db.prepare(SELECT_ONE);
    this.#all = db.prepare(SELECT_ALL);
  }

  insertOne(row) {
    this.#insert.bind(valuesOf(row)).stepReset();
  }

  insertMany(rows) {
    const insert = this.#insert;
    this.#db.transaction(() => {
      for (const row of rows) insert.bind(valuesOf(row)).stepReset();
    });
  }

  points(ids) {
    const one = this.#one, rows = [];
    for (const id of ids) {
      one.bind(1, id);
      this.#read(one, rows);
    }
    return rows;
  }

  scan() {
    const rows = [];
    this.#read(this.#all, rows);
    return rows;
  }

  #read(statement, rows) {
    while (statement.step()) {
      const [id, name, value, payload] = statement.get([]);
      rows.push({ id, name, value, payload });
    }
    statement.reset();
  }

  sum() {
    return this.#db.selectObject(SUM);
  }

  fill(first, count) {
    this.#db.exec(fillSql(first, count));
  }

  clear() {
    this.#db.exec('DELETE FROM t');
  }

  count() {
    return this.#db.selectValue('SELECT count(*) FROM t');
  }

  close() {
    for (const statement of [this.#insert, this.#one, this.#all]) statement.finalize();
    this.#db.close();
  }
}
