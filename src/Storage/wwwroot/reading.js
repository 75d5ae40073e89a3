// What one readonly transaction reads of a store. "work" as in transaction.js; "sink" is told of it, and answers false to stop.

import { askHeads, countExtents, EXTENTS } from './head.js';
import { ask, FAILED, keysAfter, refuse, stream } from './transaction.js';

const MAX_INDEX = 0x7FFFFFFF; // what .NET counts extents with

/** Reads the heads, the list of the extents, extents (only some where it says which) and the log behind a marker, in this order. */
export function readRecords(work, { includeExtents, only, listExtents, afterMarker }, sink) {
  let extents = only?.length ?? 0;
  const stopUnless = goesOn => { if (!goesOn) refuse(work, FAILED, 0); };
  const readLog = () => stream(work, 'log', afterMarker, 16, sink.onLog);
  const readExtents = () => {
    if (!includeExtents || only?.length === 0) readLog();
    else if (!only) stream(work, EXTENTS, -1, 8, sink.onExtent, readLog);
    else only.forEach((key, i) => ask(work, () => work.store(EXTENTS).get(key), value => {
      if (value !== undefined) stopUnless(sink.onExtent(key, value));
      if (i === only.length - 1 && !work.outcome) readLog();
    }));
  };
  const readList = () => ask(work, () => work.store(EXTENTS).getAllKeys(keysAfter(-1)), keys => {
    stopUnless(sink.onList(keys.filter(key => Number.isInteger(key) && key <= MAX_INDEX)));
    if (!work.outcome) readExtents();
  });
  const heads = askHeads(work);
  if (includeExtents && !only) ask(work, () => countExtents(work), count => { extents = count; });
  ask(work, () => work.store('log').count(keysAfter(afterMarker)), logs => {
    stopUnless(sink.onHead(heads, extents, logs));
    if (work.outcome) return;
    if (listExtents) readList();
    else readExtents();
  });
}
