// The rows that every library writes: t(id integer primary key, name text, value real, payload of 100 bytes).
export const CREATE = 'CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, name TEXT, value REAL, payload BLOB)';
export const INSERT = 'INSERT INTO t(id, name, value, payload) VALUES (?, ?, ?, ?)';
export const SELECT_ONE = 'SELECT id, name, value, payload FROM t WHERE id = ?';
export const SELECT_ALL = 'SELECT id, name, value, payload FROM t';
export const SUM = 'SELECT count(*) AS count, sum(value) AS sum FROM t';
export const COUNT = 'SELECT count(*) AS count FROM t';

export function makeRow(id) {
  const payload = new Uint8Array(100);
  for (let i = 0; i < 100; i++) payload[i] = (id * 31 + i * 7) & 255;
  return { id, name: `name of row ${id}`, value: id * 0.5, payload };
}

export const makeRows = (first, count) => Array.from({ length: count }, (_, i) => makeRow(first + i));

export const valuesOf = row => [row.id, row.name, row.value, row.payload];

/** One statement that adds the rows first … first + count - 1 without a value crossing from JavaScript; for SQLite. */
export const fillSql = (first, count) => `WITH RECURSIVE n(i) AS (SELECT ${first} UNION ALL SELECT i + 1 FROM n WHERE i < ${first + count - 1})
  INSERT INTO t(id, name, value, payload) SELECT i, 'name of row ' || i, i * 0.5, randomblob(100) FROM n`;

/** The same keys for every library: 1 … rows in an order that looks random. */
export function* keys(rows, count) {
  for (let i = 0, key = 12345; i < count; i++) {
    key = (key * 1103515245 + 12345) % 2147483648;
    yield 1 + key % rows;
  }
}
