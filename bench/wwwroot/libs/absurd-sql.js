// absurd-sql with its fork of sql.js, as its README sets it up; needs shared memory and a worker.
import { CREATE, INSERT, SELECT_ALL, SELECT_ONE, SUM, fillSql, valuesOf } from '../rows.js';
import { retryBusy } from '../busy.js';

const SQL_JS = '/npm/@jlongster/sql.js/dist';
let SQL;

// What a bundler would put in.
globalThis.process ??= { env: { NODE_ENV: 'production' } };

export async function load() {
  // sql.js is a script for other module systems; it asks for `module`.
  const module = { exports: {} };
  new Function('module', 'exports', await (await fetch(`${SQL_JS}/sql-wasm.js`)).text())(module, module.exports);
  const { SQLiteFS } = await import('/npm/absurd-sql/dist/index.js');
  const { default: IndexedDBBackend } = await import('/npm/absurd-sql/dist/indexeddb-backend.js');
  SQL = await module.exports({ locateFile: file => `${SQL_JS}/${file}` });
  const fs = new SQLiteFS(SQL.FS, new IndexedDBBackend());
  SQL.register_for_idb(fs);
  SQL.FS.mkdir('/sql');
  SQL.FS.mount(fs, {}, '/sql');
}

/** On the page's side: it starts the worker that talks to IndexedDB. */
export async function attach(worker) {
  const { initBackend } = await import('/npm/absurd-sql/dist/indexeddb-main-thread.js');
  initBackend(worker);
}

export function open(name) {
  const db = new SQL.Database(`/sql/${name}.sqlite`, { filename: true });
  db.exec('PRAGMA journal_mode = MEMORY; PRAGMA page_size = 8192;');
  return retryBusy(() => db.exec(CREATE)).then(() => new Database(db));
}

class Database {
  #db;
  #insert;
  #one;
  #all;

  constructor(db) {
    this.#db = db;
    this.#insert = db.prepare(INSERT);
    this.#one = db.prepare(SELECT_ONE);
    this.#all = db.prepare(SELECT_ALL);
  }

  insertOne(row) {
    return retryBusy(() => this.#insert.run(valuesOf(row)));
  }

  insertMany(rows) {
    this.#db.exec('BEGIN');
    for (const row of rows) this.#insert.run(valuesOf(row));
    this.#db.exec('COMMIT');
  }

  points(ids) {
    const rows = [];
    for (const id of ids) {
      this.#one.bind([id]);
      this.#read(this.#one, rows);
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
      const [id, name, value, payload] = statement.get();
      rows.push({ id, name, value, payload });
    }
    statement.reset();
  }

  async sum() {
    const [{ values: [[count, sum]] }] = this.#db.exec(SUM);
    return { count, sum };
  }

  fill(first, count) {
    this.#db.exec(fillSql(first, count));
  }

  clear() {
    this.#db.exec('DELETE FROM t');
  }

  async count() {
    return (await retryBusy(() => this.#db.exec('SELECT count(*) FROM t')))[0].values[0][0];
  }

  close() {
    for (const statement of [this.#insert, this.#one, this.#all]) statement.free();
    this.#db.close();
  }
}
