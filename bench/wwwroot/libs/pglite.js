// @electric-sql/pglite (Postgres) on IndexedDB: in the page, or in its worker that several tabs share. A query returns when the
// files are in IndexedDB (relaxedDurability is off by default).
import { valuesOf } from '../rows.js';

const ROOT = '/npm/@electric-sql/pglite/dist';
const CREATE = 'CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, name TEXT, value DOUBLE PRECISION, payload BYTEA)';
const INSERT = 'INSERT INTO t(id, name, value, payload) VALUES ($1, $2, $3, $4)';
let create;

export async function load({ isShared }) {
  const { live } = await import(`${ROOT}/live/index.js`), extensions = { live };
  if (isShared) {
    const { PGliteWorker } = await import(`${ROOT}/worker/index.js`);
    create = dataDir => PGliteWorker.create(new Worker('/bench/libs/pglite-worker.js', { type: 'module' }), { dataDir, id: dataDir, extensions });
  } else {
    const { PGlite } = await import(`${ROOT}/index.js`);
    create = dataDir => PGlite.create({ dataDir, extensions });
  }
}

export async function open(name) {
  const db = await create(`idb://${name}`);
  await db.exec(CREATE);
  return new Database(db);
}

class Database {
  #db;

  constructor(db) {
    this.#db = db;
  }

  insertOne(row) {
    return this.#db.query(INSERT, valuesOf(row));
  }

  insertMany(rows) {
    return this.#db.transaction(async transaction => {
      for (const row of rows) await transaction.query(INSERT, valuesOf(row));
    });
  }

  async points(ids) {
    const rows = [];
    for (const id of ids) rows.push((await this.#db.query('SELECT id, name, value, payload FROM t WHERE id = $1', [id])).rows[0]);
    return rows;
  }

  async scan() {
    return (await this.#db.query('SELECT id, name, value, payload FROM t ORDER BY id')).rows;
  }

  async sum() {
    return (await this.#db.query('SELECT count(*)::int AS count, sum(value) AS sum FROM t')).rows[0];
  }

  async fill(first, count) {
    await this.#db.exec(`INSERT INTO t(id, name, value, payload)
      SELECT i, 'name of row ' || i, i * 0.5, substring(decode(repeat(md5(i::text), 7), 'hex') FROM 1 FOR 100)
      FROM generate_series(${first}, ${first + count - 1}) AS i`);
  }

  async clear() {
    await this.#db.exec('TRUNCATE t');
  }

  async count() {
    return (await this.#db.query('SELECT count(*)::int AS count FROM t')).rows[0].count;
  }

  async watch(listener, own, others) {
    await this.#db.exec('CREATE TABLE IF NOT EXISTS o(id INTEGER PRIMARY KEY)');
    const follow = (sql, told) => this.#db.live.query(sql, [], ({ rows }) => told(rows));
    listener((await follow('SELECT id, name FROM t ORDER BY id DESC LIMIT 20', listener)).initialResults.rows);
    for (let i = 1; i < own; i++) await follow(`SELECT count(*) FROM t WHERE id > ${i}`, () => { });
    for (let i = 0; i < others; i++) await follow(`SELECT count(*) FROM o WHERE id > ${i}`, () => { });
  }

  close() {
    return this.#db.close();
  }
}
