// The head of a store, its copy among the extents, and beside it the places of appends. "work" as in transaction.js.

import { ask, keysAfter } from './transaction.js';

export const HEAD = 'head', EXTENTS = 'extents';

/** The places of an epoch up to that of a marker. */
export const placesUpTo = (epoch, marker) => IDBKeyRange.bound([epoch], [epoch, marker]);

const toText = record => record === undefined ? null : JSON.stringify(record) ?? '';

/** The head and its copy as texts, null where there is none; filled in before the next answer. */
export function askHeads(work) {
  const heads = [null, null];
  [HEAD, EXTENTS].forEach((store, i) => ask(work, () => work.store(store).get(HEAD), record => { heads[i] = toText(record); }));
  return heads;
}

/** Writes the head and its copy. */
export function putHead(work, head) {
  for (const store of [HEAD, EXTENTS]) ask(work, () => work.store(store).put(head, HEAD));
}

/** Counts the extents, without the head that is beside them. */
export const countExtents = work => work.store(EXTENTS).count(keysAfter(-1));

/**
 * Whoever led under the epoch that ends here can only append behind its own last record: at the end of a run of markers, or
 * behind the checkpoint. Those places are taken, and stay so when the log is trimmed and its markers are free again.
 */
export function takePlaces(work, epoch, checkpoint, markers) {
  const head = work.store(HEAD), taken = new Set(markers);
  ask(work, () => head.delete(placesUpTo(epoch, Infinity)));
  for (const marker of new Set([checkpoint, ...markers])) {
    if (!taken.has(marker + 1)) ask(work, () => head.put(0, [epoch, marker + 1]));
  }
}
