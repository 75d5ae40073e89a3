// Requests of one IndexedDB transaction. "work" is the transaction with what is known of it: the number of requests without
// an answer, and the outcome once it is decided to abort.

const BATCH_BYTES = 4 << 20;
const MAX_BATCH = 256;
const BATCHES_AHEAD = 3;

/** The outcome of what failed for the browser's own reasons; the same number as in IndexedDbOutcome in .NET. */
export const FAILED = 4;

export const keysAfter = key => IDBKeyRange.bound(key, Infinity, true, true);

/** Issues a request and handles its answer. The last answer commits at once, instead of waiting for the next event. */
export function ask(work, issue, onsuccess, onerror) {
  attempt(work, () => {
    const request = issue();
    work.pending++;
    request.onsuccess = () => {
      if (onsuccess && !work.outcome) attempt(work, () => onsuccess(request.result));
      settle(work);
    };
    request.onerror = event => {
      // What is not handled here aborts the transaction, with this error.
      if (work.outcome || !onerror?.(request.error)) return;
      event.preventDefault();
      event.stopPropagation();
      settle(work);
    };
  });
}

/** Runs a step; what it throws aborts the transaction. */
export function attempt(work, action) {
  try {
    action();
  } catch (error) {
    refuse(work, FAILED, 0, error);
  }
}

/** Aborts the transaction, with an outcome for .NET. */
export function refuse(work, outcome, number, error) {
  if (work.outcome) return;
  work.outcome = [outcome, number, error];
  try {
    work.transaction.abort();
  } catch {
    // The browser ended it already; its event comes.
  }
}

/** Copies records into the quarantine. They are asked for at once, before what is issued next replaces or removes them. */
export function keepAside(work, name, range) {
  let keys;
  ask(work, () => work.store(name).getAllKeys(range), result => { keys = result; });
  ask(work, () => work.store(name).getAll(range), values => {
    values.forEach((value, i) => ask(work, () => work.store('quarantine').add({ store: name, key: keys[i], value })));
  });
}

/**
 * Hands over records in batches of about 4 MB. The next ones are asked for before one is handed over, so that the browser
 * reads them meanwhile.
 */
export function stream(work, name, after, first, deliver, done) {
  let keys, size = first, asked = 0, arrived = 0;
  const next = () => {
    while (asked < keys.length && asked - arrived < size * BATCHES_AHEAD) {
      const from = asked;
      asked = Math.min(from + size, keys.length);
      const range = IDBKeyRange.bound(keys[from], keys[asked - 1]);
      ask(work, () => work.store(name).getAll(range), values => take(from, values));
    }
  };
  const take = (from, values) => {
    arrived += values.length;
    const bytes = values.reduce((sum, value) => sum + ((value?.data ?? value)?.byteLength ?? 0), 0);
    size = Math.max(1, Math.min(MAX_BATCH, Math.floor(BATCH_BYTES * values.length / (bytes + 1))));
    next();
    for (let i = 0; i < values.length && !work.outcome; i++) {
      const key = keys[from + i];
      if (Number.isSafeInteger(key) && !deliver(key, values[i])) refuse(work, FAILED, 0);
    }
    if (arrived === keys.length && !work.outcome) done?.();
  };
  ask(work, () => work.store(name).getAllKeys(keysAfter(after)), result => {
    keys = result;
    if (keys.length > 0) next();
    else done?.();
  });
}

function settle(work) {
  if (--work.pending === 0 && !work.outcome) attempt(work, () => work.transaction.commit?.());
}
