// Where applying a changeset of SQLite's session extension met a conflict. It is always given up then; what it means is for C# to say.

import { ints } from './memory.js';
import { raw } from './rows.js';

const FOREIGN_KEY = 5, ABORT = 2;
let conflict;

export const forgetConflict = () => { conflict = undefined; };

/** The number that SQLite gave for it; 0 for none. */
export const conflictKind = () => conflict?.kind ?? 0;

/** The table; null for none, and where foreign keys of several may be violated. */
export const conflictTable = () => conflict?.table ?? null;

/** The callback for sqlite3changeset_apply_v2: its name is valid only during the call. */
export function noteConflict(kind, change, text) {
  conflict = { kind, table: kind === FOREIGN_KEY ? null : tableOf(change, text) };
  return ABORT;
}

function tableOf(change, text) {
  const out = raw.sqlite3_malloc(16) >>> 0;
  if (!out) return null;
  const code = raw.sqlite3changeset_op(change, out, out + 4, out + 8, out + 12), name = code ? null : text(ints()[out >>> 2]);
  raw.sqlite3_free(out);
  return name;
}
