// @npiesco/absurder-sql: SQLite in Rust over IndexedDB. sync() is its way of being durable; in several tabs the followers'
// writes are queued for the leader.
import { CREATE, INSERT, SELECT_ALL, SELECT_ONE, SUM, fillSql } from '../rows.js';

const QUEUE_LIMIT_MS = 3000;
let Database;

export async function load() {
  const { default: init, Database: type } = await import('/npm/@npiesco/absurder-sql/pkg/absurder_sql.js');
  await init();
  Database = type;
}

export async function open(name, { isQueued }) {
  const db = await Database.newDatabase(`${name}.db`);
  const rows = new Rows(db, isQueued);
  if (!isQueued || await db.isLeader()) {
    await db.execute(CREATE);
    await db.sync();
  }
  return rows;
}

const integer = value => ({ type: 'Integer', value });
const hex = bytes => Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');

class Rows {
  #db;
  #isQueued;

  constructor(db, isQueued) {
    this.#db = db;
    this.#isQueued = isQueued;
  }

  #add(row) {
    return this.#db.executeWithParams(INSERT, [
      integer(row.id), { type: 'Text', value: row.name }, { type: 'Real', value: row.value }, { type: 'Blob', value: Array.from(row.payload) },
    ]);
  }

  async insertOne(row) {
    if (this.#isQueued && !await this.#db.isLeader()) {
      // It has no parameters here.
      await this.#db.queueWriteWithTimeout(`INSERT INTO t VALUES (${row.id}, '${row.name}', ${row.value}, x'${hex(row.payload)}')`, QUEUE_LIMIT_MS);
      return;
    }
    await this.#add(row);
    await this.#db.sync();
  }

  async insertMany(rows) {
    await this.#db.execute('BEGIN');
    for (const row of rows) await this.#add(row);
    await this.#db.execute('COMMIT');
    await this.#db.sync();
  }

  async #read(sql, parameters) {
    const result = parameters ? await this.#db.executeWithParams(sql, parameters) : await this.#db.execute(sql);
    return result.rows.map(({ values }) => values.map(({ value }) => value));
  }

  async points(ids) {
    const rows = [];
    for (const id of ids) rows.push(...(await this.#read(SELECT_ONE, [integer(id)])).map(toRow));
    return rows;
  }

  async scan() {
    return (await this.#read(SELECT_ALL)).map(toRow);
  }

  async sum() {
    const [[count, sum]] = await this.#read(SUM);
    return { count, sum };
  }

  async fill(first, count) {
    await this.#db.execute(fillSql(first, count));
    await this.#db.sync();
  }

  async clear() {
    await this.#db.execute('DELETE FROM t');
    await this.#db.sync();
  }

  async count() {
    return (await this.#read('SELECT count(*) FROM t'))[0][0];
  }

  close() {
    return this.#db.close();
  }
}

const toRow = ([id, name, value, payload]) => ({ id, name, value, payload });
