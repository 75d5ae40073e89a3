// SQLite for .NET in a browser: gives the official WebAssembly build a VFS and callbacks whose bodies are C#, and gives
// C# the few calls that must move bytes. It decides nothing. Addresses whose name begins with "net" lie in .NET's memory, the
// others in SQLite's. Growth of a memory detaches the views on it, so each use checks for that; nothing else is kept.

import { noteConflict } from './changesets.js';
import { noteRecorded, registerVfs } from './files.js';
import { copy, heap, ints, netHeap, share } from './memory.js';
import { raw } from './rows.js';
import { loadSqlite } from './sqlite.js';

export { raw };
export { conflictKind, conflictTable, forgetConflict } from './changesets.js';
export { watch } from './files.js';
export { textLength } from './memory.js';
export { run, step } from './rows.js';

const TRANSIENT = -1, LARGE = 65536;
let sqlite3, net, netArguments, scratch, scratchSize = 0;
const pointers = {};

const text = pointer => pointer ? sqlite3.wasm.cstrToJs(pointer) : null;

/** Registers the VFS; once. Call it from the thread that .NET runs on. */
export async function initialize(vfsName) {
  const runtime = globalThis.getDotnetRuntime(0);
  const [loaded, assembly] = await Promise.all([loadSqlite(), runtime.getAssemblyExports('DataSync.Vfs.dll')]);
  sqlite3 = loaded;
  Object.assign(raw, sqlite3.wasm.exports);
  net = assembly.DataSync.Vfs.Browser.SqliteExports;
  share(sqlite3.wasm.memory, runtime);
  netArguments = net.GetArguments() >>> 0;
  reserve(LARGE);
  for (const [name, [signature, body]] of Object.entries(callbacks)) pointers[name] = sqlite3.wasm.installFunction(signature, body);
  registerVfs(sqlite3, net, vfsName);
}

/** The number by which SQLite calls one of the callbacks below. */
export const pointerOf = name => pointers[name];

/** Registers a function of C#'s under a name that ends with a zero, or takes it away: id 0. */
export function createFunction(db, netName, count, flags, id, isAggregate) {
  const { scalar, step, final, destroy } = pointers, of = pointer => id ? pointer : 0;
  return raw.sqlite3_create_function_v2(
    db, passName(netName), count, flags, id, isAggregate ? 0 : of(scalar), isAggregate ? of(step) : 0, isAggregate ? of(final) : 0, of(destroy));
}

const turns = new MessageChannel(), waiting = [];
turns.port1.onmessage = () => waiting.shift()();

/** Lets the page do what else it has to do. A message, because timers are slow in hidden pages. */
export const yieldToPage = () => new Promise(goOn => {
  waiting.push(goOn);
  turns.port2.postMessage(null);
});

/** Bytes of memory that SQLite's module has. */
export const heapSize = () => heap().byteLength;

// ---- bytes between the two memories

function reserve(size) {
  if (size > scratchSize) {
    if (scratch) raw.sqlite3_free(scratch);
    scratch = raw.sqlite3_malloc(scratchSize = size) >>> 0;
  }
  return scratch;
}

/** A copy in SQLite's memory, for sqlite3_free; size -1: up to and with the terminating zero. 0 for 0. */
export function copyIn(netAt, size) {
  netAt >>>= 0;
  if (!netAt) return 0;
  if (size < 0) size = netHeap().indexOf(0, netAt) + 1 - netAt;
  const at = raw.sqlite3_malloc(Math.max(size, 1)) >>> 0;
  if (at) copy(heap(), at, netHeap(), netAt, size);
  return at;
}

export const copyOut = (at, netAt, size) => copy(netHeap(), netAt >>> 0, heap(), at >>> 0, size);
export const readInt = at => ints()[at >>> 2];

// ---- statements

/** Prepares; writes the statement and how many bytes were taken to two ints in .NET's memory. */
export function prepare(db, netSql, size, flags, netOut) {
  const out = raw.sqlite3_malloc(size + 9) >>> 0, sql = out + 8;
  if (!out) return 7;
  copy(heap(), sql, netHeap(), netSql >>> 0, size);
  heap()[sql + size] = 0;
  const code = raw.sqlite3_prepare_v3(db, sql, size + 1, flags, out, out + 4);
  const tail = ints()[(out + 4) >>> 2] >>> 0, result = new Int32Array(netHeap().buffer, netOut >>> 0, 2);
  [result[0], result[1]] = [ints()[out >>> 2], tail ? tail - sql : size];
  raw.sqlite3_free(out);
  return code;
}

/** The index of a parameter whose name ends with a zero. */
export const parameterIndex = (statement, netName) => raw.sqlite3_bind_parameter_index(statement, passName(netName));

function passName(netName) {
  const size = netHeap().indexOf(0, netName >>> 0) + 1 - (netName >>> 0);
  copy(heap(), reserve(size), netHeap(), netName >>> 0, size);
  return scratch;
}

function passBytes(call, a, b, netAt, size) {
  if (size > LARGE) {
    const at = copyIn(netAt, size);
    return at ? call(a, b, at, size, sqlite3.capi.SQLITE_WASM_DEALLOC) : 7;
  }
  copy(heap(), scratch, netHeap(), netAt >>> 0, size);
  return call(a, b, scratch, size, TRANSIENT);
}

export const bindText = (statement, index, netAt, size) => passBytes(raw.sqlite3_bind_text, statement, index, netAt, size);
export const bindBlob = (statement, index, netAt, size) => passBytes(raw.sqlite3_bind_blob, statement, index, netAt, size);

/** The result of a function: 0 a text, 1 a blob, 2 an error message. */
export function resultBytes(context, kind, netAt, size) {
  const at = copyIn(netAt, size) || reserve(1);
  if (kind === 0) raw.sqlite3_result_text(context, at, size, TRANSIENT);
  else if (kind === 1) raw.sqlite3_result_blob(context, at, size, TRANSIENT);
  else raw.sqlite3_result_error(context, at, size);
  if (at !== scratch) raw.sqlite3_free(at);
}

/** Copies a text with its terminating zero when it fits into the room; returns its length, -1 for NULL. */
function giveText(at, size, netAt, room) {
  if (!at) return -1;
  if (size < room) copy(netHeap(), netAt >>> 0, heap(), at >>> 0, size + 1);
  return size;
}

function giveBlob(at, size, netAt, room) {
  if (!at) return 0;
  if (size <= room) copy(netHeap(), netAt >>> 0, heap(), at >>> 0, size);
  return size;
}

export const columnText = (statement, index, netAt, room) =>
  giveText(raw.sqlite3_column_text(statement, index), raw.sqlite3_column_bytes(statement, index), netAt, room);
export const columnBlob = (statement, index, netAt, room) =>
  giveBlob(raw.sqlite3_column_blob(statement, index), raw.sqlite3_column_bytes(statement, index), netAt, room);
export const valueText = (value, netAt, room) => giveText(raw.sqlite3_value_text(value), raw.sqlite3_value_bytes(value), netAt, room);
export const valueBlob = (value, netAt, room) => giveBlob(raw.sqlite3_value_blob(value), raw.sqlite3_value_bytes(value), netAt, room);

// ---- callbacks: their first pointer is the id under which C# keeps the delegate

function passArguments(count, values) {
  copy(netHeap(), netArguments, heap(), values >>> 0, count * 4);
  return count;
}

const callbacks = {
  destroy: ['v(p)', id => net.Release(id)],
  scalar: ['v(pip)', (context, count, values) => net.CallScalar(raw.sqlite3_user_data(context), context, passArguments(count, values))],
  step: ['v(pip)', (context, count, values) => {
    const state = raw.sqlite3_aggregate_context(context, 4);
    if (!state) return raw.sqlite3_result_error_nomem(context);
    const next = net.CallStep(raw.sqlite3_user_data(context), context, ints()[state >>> 2], passArguments(count, values));
    ints()[state >>> 2] = next;
  }],
  final: ['v(p)', context => {
    const state = raw.sqlite3_aggregate_context(context, 0);
    net.CallFinal(raw.sqlite3_user_data(context), context, state ? ints()[state >>> 2] : 0);
  }],
  collate: ['i(pipip)', (id, size1, at1, size2, at2) => {
    const netAt = net.GetBuffer(size1 + size2) >>> 0;
    copy(netHeap(), netAt, heap(), at1 >>> 0, size1);
    copy(netHeap(), netAt + size1, heap(), at2 >>> 0, size2);
    return net.CallCollation(id, size1, size2);
  }],
  conflict: ['i(pip)', (context, kind, change) => noteConflict(kind, change, text)],
  commit: ['i(p)', id => net.CallCommit(id)],
  rollback: ['v(p)', id => net.CallRollback(id)],
  update: ['v(pippj)', (id, operation, db, table, rowid) => net.CallUpdate(id, operation, text(db), text(table), rowid)],
  progress: ['i(p)', id => net.CallProgress(id)],
  authorize: ['i(pipppp)', (id, action, a, b, db, trigger) => net.CallAuthorizer(id, action, text(a), text(b), text(db), text(trigger))],
  trace: ['i(ippp)', (event, id, statement, x) => {
    if (event === 2) {
      net.CallProfile(id, text(raw.sqlite3_sql(statement)), new DataView(heap().buffer).getBigInt64(x >>> 0, true));
      return 0;
    }
    const sql = text(x), expanded = sql.startsWith('--') ? 0 : raw.sqlite3_expanded_sql(statement);
    net.CallTrace(id, expanded ? text(expanded) : sql);
    raw.sqlite3_free(expanded);
    return 0;
  }],
  record: ['i(pp)', noteRecorded],
  log: ['v(pip)', (id, code, message) => net.CallLog(id, code, text(message))],
};
