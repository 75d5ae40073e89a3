// Steps statements: lays their rows out in .NET's memory, and takes the values of many runs from there.

import { copy, doubles, heap, ints, longs, netDoubles, netHeap, netInts, netLongs } from './memory.js';

/** SQLite's own exports, for C# to import by name. */
export const raw = {};

const NO_MEMORY = 7, ROW = 100, DONE = 101, REPREPARE = 5, RUNS_ROOM = 65536;
const INTEGER = 1, FLOAT = 2, TEXT = 3, BLOB = 4, NULL = 5, LONG = 256;
const MAX_ROW = 64, MIN_ROOM = 8 + MAX_ROW * 16 + 8;

/**
 * Steps up to some times, and lays the rows out in .NET's memory (StatementRows.cs says how). Ends with a row that does not fit:
 * its long values are then asked for one by one. Returns the last step's code; behind the last row the statement is reset as well.
 */
export function step(statement, limit, netAt, room) {
  const end = (netAt >>>= 0) + room;
  let at = netAt + 8, rows = 0, code;
  do {
    code = raw.sqlite3_step(statement);
    if (code !== ROW) break;
    rows++;
    at = layOut(statement, at, end);
  } while (at && rows < limit && at + MIN_ROOM < end);
  const head = netInts();
  head[netAt >>> 2] = rows;
  head[netAt + 4 >>> 2] = raw.sqlite3_stmt_status(statement, REPREPARE, 0);
  if (code === DONE) raw.sqlite3_reset(statement);
  return code;
}

// Returns where the next row begins, or 0 when something did not fit.
function layOut(statement, at, end) {
  const all = raw.sqlite3_data_count(statement), count = Math.min(all, MAX_ROW);
  let cell = at + 8, next = cell + count * 16, isWhole = count === all;
  for (let i = 0; i < count; i++, cell += 16) {
    let type = raw.sqlite3_column_type(statement, i), size = 0;
    if (type === INTEGER || type === FLOAT) {
      const value = raw.sqlite3_column_double(statement, i);
      if (type === INTEGER && Math.abs(value) >= Number.MAX_SAFE_INTEGER) {
        type |= LONG;
        netLongs()[cell + 8 >>> 3] = raw.sqlite3_column_int64(statement, i);
      } else {
        netDoubles()[cell + 8 >>> 3] = value;
      }
    } else if (type !== NULL) {
      const from = (type === TEXT ? raw.sqlite3_column_text : raw.sqlite3_column_blob)(statement, i) >>> 0;
      size = raw.sqlite3_column_bytes(statement, i);
      const fits = next + size < end && (from || !size && type !== TEXT);
      netInts()[cell + 8 >>> 2] = fits ? next : 0;
      if (fits) {
        copy(netHeap(), next, heap(), from, size);
        netHeap()[next + size] = 0;
        next += size + 1;
      } else {
        isWhole = false;
      }
    }
    const cells = netInts();
    [cells[cell >>> 2], cells[cell + 4 >>> 2]] = [type, size];
  }
  next = next + 7 & ~7;
  const ints = netInts();
  [ints[at >>> 2], ints[at + 4 >>> 2]] = [next - at, count];
  return isWhole ? next : 0;
}

let spare = 0;

/**
 * Runs a statement with each of some sets of values (StatementRuns.cs says how they are laid out). Returns DONE, or the code of the
 * first run that failed, which is left as it is.
 */
export function run(statement, parameters, runs, netAt, size) {
  // A function of the application may get here again in the middle of a run, and then takes another piece of memory.
  const at = spare || raw.sqlite3_malloc(RUNS_ROOM) >>> 0;
  spare = 0;
  if (!at) return NO_MEMORY;
  try {
    copy(heap(), at, netHeap(), netAt >>> 0, size);
    for (let begin = at; runs > 0; runs--, begin += ints()[begin >>> 2]) {
      for (let i = 1; i <= parameters; i++) {
        const code = bind(statement, i, at, begin + 16 * i - 8);
        if (code) return code;
      }
      let code;
      do code = raw.sqlite3_step(statement); while (code === ROW);
      if (code !== DONE) return code;
      raw.sqlite3_reset(statement);
    }
    return DONE;
  } finally {
    if (spare) raw.sqlite3_free(at);
    else spare = at;
  }
}

// Texts and blobs are bound where they are, without another copy: they stay until the run has ended.
function bind(statement, index, at, cell) {
  const cells = ints(), type = cells[cell >>> 2], size = cells[cell + 4 >>> 2], value = cells[cell + 8 >>> 2];
  switch (type) {
    case INTEGER: return raw.sqlite3_bind_int(statement, index, value);
    case INTEGER | LONG: return raw.sqlite3_bind_int64(statement, index, longs()[cell + 8 >>> 3]);
    case FLOAT: return raw.sqlite3_bind_double(statement, index, doubles()[cell + 8 >>> 3]);
    case TEXT: return raw.sqlite3_bind_text(statement, index, at + value, size, 0);
    case BLOB: return raw.sqlite3_bind_blob(statement, index, at + value, size, 0);
    default: return raw.sqlite3_bind_null(statement, index);
  }
}
