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
//   const stop = datasync.onCommit(fn)        fn({ marker, writer, isLocal }) for each commit of any tab, until stop()
//   await datasync.close()
//
// params is an object ({ $name: value }, the prefix may be left out) or an array for each ? in turn. Values: null, booleans, numbers,
// bigints, strings, Uint8Array. Whole numbers beyond 2^53 come back as bigint, blobs as Uint8Array. All calls wait for `ready` by
// themselves. Failures reject with an Error whose name is the .NET exception's type name, such as "SqliteException".

let dotnet;
let open, refuse;
const ready = new Promise((resolve, reject) => { open = resolve; refuse = reject; });
// Whoever awaits it sees the failure; a page that nobody scripts should not report it twice.
ready.catch(() => {});
const listeners = new Set();
const calls = new Map();
let lastCall = 0;

/** Called by .NET when the database is open, or could not be opened. */
export async function attach(outcome) {
  const exports = await globalThis.getDotnetRuntime(0).getAssemblyExports('DataSync.Playground.Client');
  dotnet = exports.DataSync.Playground.Client.Scripting;
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

/** Reads an answer of .NET; throws when it tells of an exception. */
function read(json) {
  const answer = JSON.parse(json);
  if (!answer.error) return answer;
  const { name, message, ...details } = answer.error;
  const error = new Error(message);
  error.name = name;
  throw Object.assign(error, details);
}

function encodeValue(value) {
  if (value === undefined || value === null) return null;
  if (typeof value === 'bigint') return { $int: value.toString() };
  if (typeof value === 'number' && !Number.isFinite(value)) return Number.isNaN(value) ? null : { $real: String(value) };
  if (value instanceof ArrayBuffer) return encodeValue(new Uint8Array(value));
  if (ArrayBuffer.isView(value)) {
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    let text = '';
    for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
    return { $blob: btoa(text) };
  }
  return value;
}

const encodeAll = (params) => (Array.isArray(params)
  ? params.map(encodeValue)
  : Object.fromEntries(Object.entries(params ?? {}).map(([name, value]) => [name, encodeValue(value)])));

const encode = (params) => JSON.stringify(encodeAll(params));

function decodeValue(value) {
  if (typeof value !== 'object' || value === null) return value;
  if (value.$int !== undefined) return BigInt(value.$int);
  if (value.$real !== undefined) return Number(value.$real);
  return Uint8Array.from(atob(value.$blob), (character) => character.charCodeAt(0));
}

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
  execute: (sql, params) => call('Execute', sql, encode(params)),
  query: async (sql, params) => rowsOf(await call('Query', sql, encode(params))),
  transaction: (statements) => call('Transaction', JSON.stringify(statements.map(({ sql, params }) => ({ sql, params: encodeAll(params) })))),
  status: () => (dotnet ? read(dotnet.Status()) : ready.then(() => read(dotnet.Status()))),
  waitForLeader: async () => (await call('WaitForLeader')).leaderId,
  requestLeadership: async () => { await call('RequestLeadership'); },
  resign: async () => { await call('Resign'); },
  sync: async () => { await call('Sync'); },
  export: async () => { await call('Export'); return dotnet.TakeExported(); },
  import: async (bytes) => { await call('Import', bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes)); },
  onCommit: (listener) => { listeners.add(listener); return () => listeners.delete(listener); },
  close: async () => { await call('Close'); },
});
