// sqlocal: the official build's OPFS VFS in its own worker, asked from the page.
import { CREATE, INSERT, SELECT_ALL, SELECT_ONE, SUM, fillSql, valuesOf } from '../rows.js';
import { retryBusy } from '../busy.js';

let SQLocal;

export async function load() {
  ({ SQLocal } = await import('/npm/sqlocal/dist/index.js'));
}

export async function open(name) {
  // A bundler would make the worker; without one it is given.
  const client = new SQLocal({ databasePath: `${name}.sqlite3`, reactive: true, processor: new Worker('/npm/sqlocal/dist/worker.js', { type: 'module' }) });
  await retryBusy(() => client.sql(CREATE));
  return new Database(client);
}

class Database {
  #client;

  constructor(client) {
    this.#client = client;
  }

  insertOne(row) {
    return retryBusy(() => this.#client.sql(INSERT, ...valuesOf(row)));
  }

  async insertMany(rows) {
    await this.#client.batch(() => rows.map(row => ({ sql: INSERT, params: valuesOf(row) })));
  }

  async points(ids) {
    const rows = [];
    for (const id of ids) rows.push((await this.#client.sql(SELECT_ONE, id))[0]);
    return rows;
  }

  scan() {
    return this.#client.sql(SELECT_ALL);
  }

  async sum() {
    return (await this.#client.sql(SUM))[0];
  }

  async fill(first, count) {
    await this.#client.sql(fillSql(first, count));
  }

  async clear() {
    await this.#client.sql('DELETE FROM t');
  }

  async count() {
    return (await retryBusy(() => this.#client.sql('SELECT count(*) AS count FROM t')))[0].count;
  }

  async watch(listener, own, others) {
    await retryBusy(() => this.#client.sql('CREATE TABLE IF NOT EXISTS o(id INTEGER PRIMARY KEY)'));
    const follow = (query, told) => this.#client.reactiveQuery(query).subscribe(told);
    follow({ sql: 'SELECT id, name FROM t ORDER BY id DESC LIMIT 20', params: [] }, listener);
    for (let i = 1; i < own; i++) follow({ sql: `SELECT count(*) FROM t WHERE id > ${i}`, params: [] }, () => { });
    for (let i = 0; i < others; i++) follow({ sql: `SELECT count(*) FROM o WHERE id > ${i}`, params: [] }, () => { });
  }

  close() {
    return this.#client.destroy();
  }
}
