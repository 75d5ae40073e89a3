// Steps statements, and lays their rows out in .NET's memory.

import { copy, heap, netDoubles, netHeap, netInts, netLongs } from './memory.js';

/** SQLite's own exports, for C# to import by name. */
export const raw = {};

const ROW = 100, INTEGER = 1, FLOAT = 2, TEXT = 3, NULL = 5, LONG = 256, MAX_ROW = 64, MIN_ROOM = 8 + MAX_ROW * 16 + 8;

/**
 * Steps up to some times, and lays the rows out in .NET's memory (StatementRows.cs says how). Ends with a row that does not fit:
 * its long values are then asked for one by one. Returns the last step's code.
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
  netInts()[netAt >>> 2] = rows;
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
