// IndexedDB for DataSync.Storage. Each export is one atomic step: one transaction, filled within one turn, judged in its own
// request handlers, and answered once, when it is complete or aborted. What to do about an outcome is decided in .NET.
//
// Database "datasync:{name}", version 1:
//   head        key "head": the head as an object        log         key marker: {id, epoch, data}
//               key [epoch, marker]: the place of an append; of an epoch that is over, taken for good
//   extents     key index: Uint8Array                     quarantine  what repairs removed
//               key "head": the head once more, apart from the first

export { estimate, persist } from './quota.js';
import { adopt } from './copy.js';
import { askFactory } from './databases.js';
import { askHeads, countExtents, EXTENTS, HEAD, placesUpTo, putHead, takePlaces } from './head.js';
import { readRecords } from './reading.js';
import { ask, attempt, FAILED, keepAside, refuse } from './transaction.js';

const STORES = [HEAD, 'log', EXTENTS, 'quarantine'];

// Outcomes; the same numbers as IndexedDbOutcome in .NET.
const FENCED = 1, REPLACED = 2, CONFLICT = 3; // and FAILED, 4

// Why a connection ends; the same numbers as StoreClosedReason in .NET.
const DELETED = 0, LOST = 1, UPGRADED = 2;

const connections = new Map();
const tails = new Map(); // connection -> under which epoch of which store it alone can append, and the last marker
let dotnet;
let appending; // the append that .NET is filling in this very turn
let current; // the transaction that .NET is filling in this very turn
let handed;  // the bytes that .NET is asked to take in this very call

/** Connects the module to its .NET half; once, before anything else. */
export async function init() {
  const exports = await globalThis.getDotnetRuntime(0).getAssemblyExports('DataSync.Storage.dll');
  dotnet = exports.DataSync.Storage.IndexedDbInterop;
}

/** Opens a database, making its object stores when it is new, then lets .NET make or read the head. */
export function open(request, connection, name, strict) {
  const opening = factory(request, databases => databases.open(name, 1), db => {
    if (!dotnet.IsWaiting(request)) {
      db.close();
      return;
    }
    connections.set(connection, db);
    db.onversionchange = event => closed(connection, event.newVersion === null ? DELETED : UPGRADED);
    db.onclose = () => closed(connection, LOST);
    updateHead(connection, request, strict);
  });
  if (!opening) return;
  opening.onupgradeneeded = () => {
    for (const store of STORES) {
      opening.result.createObjectStore(store, store === 'quarantine' ? { autoIncrement: true } : undefined);
    }
  };
}

/** Closes a connection; transactions under way still end. */
export function close(connection) {
  connections.get(connection)?.close();
  connections.delete(connection);
  tails.delete(connection);
}

/** Deletes a database. Waits for connections that do not close; .NET has the patience. */
export function remove(request, name) {
  factory(request, databases => databases.deleteDatabase(name), () => dotnet.OnDone(request));
}

/** Shows .NET the head, and in the same transaction writes what it makes of it. */
export function updateHead(connection, request, strict) {
  const work = start(connection, request, 'readwrite', strict, STORES);
  if (!work) return;
  tails.delete(connection);
  let log;
  const heads = askHeads(work);
  ask(work, () => work.store('log').getAllKeys(), keys => { log = keys; });
  ask(work, () => countExtents(work), extents => {
    const decided = dotnet.OnHead(request, ...heads, log.length + extents, 0);
    if (!decided) return;
    const { next, ended, isDamaged } = JSON.parse(decided);
    if (ended !== null) {
      takePlaces(work, ended, next.marker, log);
      // From here on nobody else appends, so the first append needs no answer either.
      const marker = Math.max(next.marker, ...log.slice(-1));
      work.onDone = () => tails.set(connection, { incarnation: next.incarnation, epoch: next.epoch, marker });
    }
    if (isDamaged) keepAside(work, HEAD, IDBKeyRange.only(HEAD));
    putHead(work, next);
  });
}

/** Begins an append; `add` follows for each of its commits, in the same turn. */
export function beginAppend(connection, request, incarnation, epoch, marker, count, strict) {
  appending = { connection, request, incarnation, epoch, marker, count, strict, records: [] };
}

/** Adds one commit to the append that was begun; the last one sends it off. */
export function add(id, bytes) {
  const append = appending;
  append.records.push({ id, epoch: append.epoch, data: bytes.slice() });
  if (append.records.length < append.count) return;
  const tail = tails.get(append.connection);
  tails.delete(append.connection);
  const { incarnation, epoch, marker } = append;
  if (tail?.incarnation === incarnation && tail.epoch === epoch && tail.marker === marker - 1) appendUnattended(append);
  else appendAttended(append);
}

function startAppend(append) {
  const { connection, request, incarnation, epoch, marker, count, strict } = append;
  const work = start(connection, request, 'readwrite', strict, [HEAD, 'log']);
  if (work) work.onDone = () => tails.set(connection, { incarnation, epoch, marker: marker + count - 1 });
  return work;
}

// Behind this page's own last record, under the same epoch, nothing has to be read: if the epoch is over its next place is
// taken, and the transaction fails. Once issued, it needs no answer from this page. A page that hangs or is stopped here
// could otherwise keep the transaction open, and so keep every other tab from taking over.
// The place comes last: of what fails behind an explicit commit, Firefox (153) minds only the last request, and completes the rest.
function appendUnattended(append) {
  const work = startAppend(append);
  if (!work) return;
  const added = [];
  work.onConstraint = () => appendAttended(append); // finds out which
  work.onIncomplete = () => takeBack(append, added);
  attempt(work, () => {
    append.records.forEach((record, i) => {
      work.store('log').add(record, append.marker + i).onsuccess = () => added.push([append.marker + i, record]);
    });
    work.store(HEAD).add(0, [append.epoch, append.marker]);
    work.transaction.commit?.();
  });
}

// Firefox kept a part of an append, since somebody with the same fence had taken one of its markers, but not its place.
function takeBack(append, added) {
  const work = start(append.connection, append.request, 'readwrite', append.strict, [HEAD, 'log']);
  if (!work) return;
  work.onComplete = () => appendAttended(append);
  const log = work.store('log');
  for (const [marker, { id }] of added) {
    ask(work, () => log.get(marker), found => { if (found?.id === id) ask(work, () => log.delete(marker)); });
  }
}

function appendAttended(append) {
  const work = startAppend(append);
  if (!work) return;
  const { incarnation, epoch, marker, records } = append;
  const log = work.store('log');
  let checkpoint;
  ask(work, () => work.store(HEAD).get(HEAD), head => {
    if (!letIn(work, head, incarnation, epoch)) return;
    checkpoint = head.marker;
    if (marker <= checkpoint) refuse(work, CONFLICT, marker);
  });
  if (marker > 1) {
    ask(work, () => log.getKey(marker - 1), before => {
      if (before === undefined && marker - 1 !== checkpoint) refuse(work, CONFLICT, marker);
    });
  }
  records.forEach((record, i) => ask(work, () => log.add(record, marker + i), () => { }, error => {
    if (error?.name !== 'ConstraintError') return false;
    ask(work, () => log.get(marker + i), taken => {
      if (taken?.id !== record.id) refuse(work, CONFLICT, marker + i);
    });
    return true;
  }));
}

/** Begins a checkpoint; `putExtent` follows for each extent, in the same turn. */
export function beginCheckpoint(connection, request, incarnation, epoch, marker, head, dropFrom, keep, strict) {
  const work = current = start(connection, request, 'readwrite', strict, STORES);
  if (!work) return;
  const log = work.store('log');
  let checkpoint;
  ask(work, () => work.store(HEAD).get(HEAD), stored => {
    if (!letIn(work, stored, incarnation, epoch)) return;
    checkpoint = stored.marker;
    if (marker < checkpoint) refuse(work, CONFLICT, marker);
  });
  ask(work, () => log.getKey(marker), found => {
    if (found === undefined && marker !== checkpoint) refuse(work, CONFLICT, marker);
  });
  putHead(work, JSON.parse(head));
  ask(work, () => log.delete(IDBKeyRange.upperBound(marker)));
  ask(work, () => work.store(HEAD).delete(placesUpTo(epoch, marker)));
  if (dropFrom === 0) return;
  tails.delete(connection);
  const dropped = IDBKeyRange.lowerBound(dropFrom);
  if (keep) keepAside(work, 'log', dropped);
  ask(work, () => log.delete(dropped));
}

/** Writes one extent in the checkpoint that was begun; without bytes, removes it. */
export function putExtent(index, bytes, keep) {
  const work = current;
  if (!work || work.outcome) return;
  const extents = work.store(EXTENTS);
  if (keep) keepAside(work, EXTENTS, IDBKeyRange.only(index));
  ask(work, () => bytes.byteLength > 0 ? extents.put(bytes.slice(), index) : extents.delete(index));
}

/** Begins the taking over of another store's state, if this one is as expected; `putExtent` and `putLog` follow, in the same turn. */
export function beginAdopt(connection, request, incarnation, checkpoint, end, head, replaces, strict) {
  const work = current = start(connection, request, 'readwrite', strict, STORES);
  if (!work) return;
  tails.delete(connection);
  adopt(work, { incarnation, checkpoint, end }, JSON.parse(head), replaces, CONFLICT);
}

/** Writes one commit in what was begun. */
export function putLog(marker, id, epoch, bytes) {
  const work = current;
  if (!work || work.outcome) return;
  ask(work, () => work.store('log').put({ id, epoch, data: bytes.slice() }, marker));
}

/** Reads head, the list of the extents, extents (`only` these, where it is not null) and log as they are at one moment. */
export function read(connection, request, includeExtents, only, listExtents, afterMarker) {
  const work = start(connection, request, 'readonly', false, [HEAD, 'log', EXTENTS]);
  if (!work) return;
  readRecords(work, { includeExtents, only, listExtents, afterMarker }, {
    onHead: (heads, extents, logs) => dotnet.OnHead(request, ...heads, extents, logs) === null,
    onList: indices => dotnet.OnExtentList(request, indices),
    onExtent: (key, value) => hand(value, length => dotnet.OnExtent(request, key, length)),
    onLog: (key, value) => hand(value?.data, length => dotnet.OnLog(request, key, length)),
  });
}

/** Copies the record at hand into .NET memory. */
export function take(target) {
  target.set(handed);
}

const factory = (request, issue, onsuccess) => askFactory(issue, {
  onsuccess,
  onblocked: () => dotnet.OnBlocked(request),
  onfailed: error => fail(request, error),
});

function start(connection, request, mode, strict, stores) {
  try {
    const db = connections.get(connection);
    if (!db) throw new DOMException('The connection is closed.', 'InvalidStateError');
    const transaction = db.transaction(stores, mode, { durability: strict ? 'strict' : 'relaxed' });
    const work = { transaction, pending: 0, outcome: null, store: name => transaction.objectStore(name) };
    transaction.onerror = event => { work.isConstrained ||= event.target.error?.name === 'ConstraintError'; };
    transaction.oncomplete = () => {
      if (work.onComplete) return work.onComplete();
      if (work.isConstrained && work.onIncomplete) return work.onIncomplete();
      work.onDone?.(); // first, since .NET may go on at once
      dotnet.OnDone(request);
    };
    transaction.onabort = () => {
      // The browser's own reason goes first: what comes of using a transaction that it aborted is not one.
      const [outcome, number, error] = !transaction.error && work.outcome || [FAILED, 0, transaction.error];
      if (work.onConstraint && work.isConstrained) work.onConstraint();
      else fail(request, error, outcome, number);
    };
    return work;
  } catch (error) {
    fail(request, error);
    return null;
  }
}

function fail(request, error, outcome = FAILED, number = 0) {
  dotnet.OnFailed(request, outcome, number, error?.name ?? 'AbortError', error?.message ?? '');
}

function letIn(work, head, incarnation, epoch) {
  if (head?.incarnation !== incarnation) refuse(work, REPLACED, 0);
  else if (head.epoch !== epoch) refuse(work, FENCED, head.epoch);
  return !work.outcome;
}

// A record that is not even bytes is handed over as empty. What came through a frame is of that frame's class; .NET takes this page's alone.
function hand(value, tell) {
  handed = value?.[Symbol.toStringTag] === 'Uint8Array' ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array(0);
  try {
    return tell(handed.byteLength);
  } finally {
    handed = undefined;
  }
}

function closed(connection, reason) {
  if (!connections.has(connection)) return;
  close(connection);
  dotnet.OnClosed(connection, reason);
}
