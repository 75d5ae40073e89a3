// globalThis.datasync: the database of this tab for scripts, tests and the browser's console.
//
//   await datasync.ready                      the database is open; rejects when it could not be opened
//   await datasync.execute(sql, params)       one statement, in any tab; returns when durable (?sync=deferred: before): { changes, lastInsertRowId, marker }
//   await datasync.query(sql, params)         reads this tab's copy: an array of row objects
//   await datasync.transaction([{ sql, params }, …])   all or nothing: { changes, lastInsertRowId, marker }
//   datasync.status()                         { id, role: 'leader' | 'follower', leaderId, epoch, marker, members: [ids],
//                                               dirtyCommits, lastSync: what started the last sync of deferred writes, or null }
//   await datasync.waitForLeader()            the leader's id, as soon as there is one
//   await datasync.requestLeadership()        asks the leader to hand over to this tab; resign() gives the leadership away
//   await datasync.sync()                     returns when everything is durable
//   await datasync.export()                   the database file as a Uint8Array; import(bytes) replaces the database
//   await datasync.restore()                  after the store was lost: puts what this tab holds into the new one, and goes on
//   const stop = datasync.onCommit(fn)        fn({ marker, writer, isLocal }) for each commit of any tab, until stop()
//   const live = await datasync.live(sql, params, fn)   fn(rows) now and whenever the query gives others, fn(undefined, error) when it fails, until live.stop()
//   await datasync.close()
//
// params is an object ({ $name: value }, the prefix may be left out) or an array for each ? in turn. Values: null, booleans (1 or 0),
// numbers (an INTEGER when whole and below 2^63, else a REAL; NaN is NULL), bigints, strings (half of a surrogate pair becomes U+FFFD),
// ArrayBuffers and views on them; anything else is refused. Whole numbers beyond 2^53, lastInsertRowId too, come back as bigint, blobs as
// Uint8Array. All calls wait for `ready` by themselves. Failures reject with an Error whose name is the .NET exception's type name, such
// as "SqliteException"; wrong parameters with a TypeError or RangeError.

let dotnet;
let open, refuse;
const ready = new Promise((resolve, reject) => { open = resolve; refuse = reject; });
// Whoever awaits it sees the failure; a page that nobody scripts should not report it twice.
ready.catch(() => {});
const listeners = new Set();
const calls = new Map();
const lives = new Map(), early = new Map();
let lastCall = 0;

/** Called by .NET when the database is open, or could not be opened. */
export async function attach(outcome) {
  const exports = await globalThis.getDotnetRuntime(0).getAssemblyExports('DataSync.Playground');
  dotnet = exports.DataSync.Playground.Scripting;
  try {
    read(outcome);
    open();
  } catch (error) {
    refuse(error);
  }
}

/** Called by .NET when a call has ended. */
export function answer(number, json) {
  const { resolve, reject } = calls.get(number);
  calls.delete(number);
  try {
    resolve(read(json));
  } catch (error) {
    reject(error);
  }
}

/** Called by .NET for each commit. */
export function notifyCommitted(marker, writer, isLocal) {
  for (const listener of [...listeners]) {
    try {
      listener({ marker, writer, isLocal });
    } catch (error) {
      reportError(error);
    }
  }
}

/** Called by .NET for another outcome of a live query. */
export function notifyLive(number, json) {
  const listener = lives.get(number);
  if (!listener) {
    early.set(number, json); // before the script has the answer to its call
    return;
  }
  let rows, failure;
  try {
    rows = rowsOf(read(json));
  } catch (error) {
    failure = error;
  }
  try {
    listener(rows, failure);
  } catch (error) {
    reportError(error);
  }
}

/** Reads an answer of .NET; throws when it tells of an exception. */
function read(json) {
  const answer = JSON.parse(json);
  if (!answer.error) return answer;
  const { name, message, ...details } = answer.error;
  const error = new Error(message);
  error.name = name;
  throw Object.assign(error, details);
}

function encodeValue(value, name) {
  switch (typeof value) {
    case 'undefined': return null;
    case 'boolean': return value;
    case 'string': return value.toWellFormed();
    case 'number':
      if (Number.isNaN(value)) return null;
      if (!Number.isFinite(value)) return { $real: String(value) };
      // JSON would round it to 17 digits.
      return Number.isInteger(value) && !Number.isSafeInteger(value) && Math.abs(value) < 2 ** 63 ? { $int: BigInt(value).toString() } : value;
    case 'bigint':
      if (BigInt.asIntN(64, value) !== value) throw new RangeError(`The parameter ${name} is ${value}: an INTEGER has 64 bits.`);
      return { $int: value.toString() };
  }
  if (value === null) return null;
  if (value instanceof ArrayBuffer) return encodeValue(new Uint8Array(value), name);
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    let text = '';
    for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
    return { $blob: btoa(text) };
  }
  throw new TypeError(`The parameter ${name} is of type ${value.constructor?.name ?? typeof value}: `
    + 'give null, a boolean, a number, a bigint, a string or bytes; other values as text, for instance with JSON.stringify.');
}

function encodeAll(params = {}) {
  if (Array.isArray(params)) return params.map((value, i) => encodeValue(value, i + 1));
  if (typeof params !== 'object' || ArrayBuffer.isView(params)) throw new TypeError('Parameters are an object with their names, or an array in their order.');
  return Object.fromEntries(Object.entries(params ?? {}).map(([name, value]) => [name, encodeValue(value, name)]));
}

const encode = (params) => JSON.stringify(encodeAll(params));

function decodeValue(value) {
  if (typeof value !== 'object' || value === null) return value;
  if (value.$int !== undefined) return BigInt(value.$int);
  if (value.$real !== undefined) return Number(value.$real);
  return Uint8Array.from(atob(value.$blob), (character) => character.charCodeAt(0));
}

const resultOf = (result) => ({ ...result, lastInsertRowId: decodeValue(result.lastInsertRowId) });
const rowsOf = ({ columns, rows }) =>
  rows.map((row) => Object.fromEntries(row.map((value, i) => [columns[i], decodeValue(value)])));

async function call(method, ...args) {
  await ready;
  return new Promise((resolve, reject) => {
    calls.set(++lastCall, { resolve, reject });
    dotnet[method](lastCall, ...args);
  });
}

globalThis.datasync = Object.freeze({
  ready,
  execute: async (sql, params) => resultOf(await call('Execute', sql, encode(params))),
  query: async (sql, params) => rowsOf(await call('Query', sql, encode(params))),
  transaction: async (statements) => resultOf(await call('Transaction',
    JSON.stringify(statements.map(({ sql, params }) => ({ sql: sql.toWellFormed(), params: encodeAll(params) }))))),
  status: () => (dotnet ? read(dotnet.Status()) : ready.then(() => read(dotnet.Status()))),
  waitForLeader: async () => (await call('WaitForLeader')).leaderId,
  requestLeadership: async () => { await call('RequestLeadership'); },
  resign: async () => { await call('Resign'); },
  sync: async () => { await call('Sync'); },
  export: async () => { await call('Export'); return dotnet.TakeExported(); },
  import: async (bytes) => { await call('Import', bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes)); },
  restore: async () => { await call('Restore'); },
  onCommit: (listener) => { listeners.add(listener); return () => listeners.delete(listener); },
  live: async (sql, params, listener) => {
    const result = await call('Live', sql, encode(params));
    lives.set(result.live, listener);
    listener(rowsOf(result));
    if (early.has(result.live)) notifyLive(result.live, early.get(result.live));
    early.delete(result.live);
    return { stop: () => { lives.delete(result.live); dotnet.StopLive(result.live); } };
  },
  close: async () => { await call('Close'); },
});
