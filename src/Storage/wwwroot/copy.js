// A store that holds a copy of another one's history. "work" as in transaction.js.

import { EXTENTS, HEAD, putHead } from './head.js';
import { ask, keysAfter, refuse } from './transaction.js';

/**
 * Writes the other store's head in place of this one's, and trims the log, if this store is still what was expected: of this
 * incarnation, with its checkpoint at this marker and its log's end at that. Else refuses with the outcome "conflict".
 */
export function adopt(work, { incarnation, checkpoint, end }, head, replaces, conflict) {
  let present;
  ask(work, () => work.store(HEAD).get(HEAD), found => {
    present = found;
    if (found?.incarnation !== incarnation || found.marker !== checkpoint) refuse(work, conflict, end);
  });
  ask(work, () => work.store('log').getAllKeys(keysAfter(checkpoint)), keys => {
    if ((keys.at(-1) ?? present.marker) !== end) refuse(work, conflict, end);
  });
  if (replaces) {
    for (const store of ['log', EXTENTS]) ask(work, () => work.store(store).clear());
  }
  putHead(work, head); // behind the clearing: its copy is among the extents
  ask(work, () => work.store('log').delete(IDBKeyRange.upperBound(head.marker)));
}
