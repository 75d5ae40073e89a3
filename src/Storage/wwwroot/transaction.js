// Requests of one IndexedDB transaction. "work" is the transaction with what is known of it: the number of requests without
// an answer, and the outcome once it is decided to abort.

const BATCH_BYTES = 4 << 20;
const MAX_BATCH = 256;

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

/**
 * Hands over records in batches of about 4 MB. The next batch is asked for before this one is handed over, so that the
 * browser reads it meanwhile.
 */
export function stream(work, name, after, first, deliver, done) {
  let size = first;
  const next = lower => {
    const asked = size;
    let keys;
    ask(work, () => work.store(name).getAllKeys(keysAfter(lower), asked), result => { keys = result; });
    ask(work, () => work.store(name).getAll(keysAfter(lower), asked), values => {
      if (keys.length === asked) {
        const bytes = values.reduce((sum, value) => sum + ((value?.data ?? value)?.byteLength ?? 0), 0);
        size = Math.max(1, Math.min(MAX_BATCH, Math.floor(BATCH_BYTES * asked / (bytes + 1))));
        next(keys[asked - 1]);
      }
      for (let i = 0; i < keys.length && !work.outcome; i++) {
        if (Number.isSafeInteger(keys[i]) && !deliver(keys[i], values[i])) refuse(work, FAILED, 0);
      }
      if (keys.length < asked && !work.outcome) done?.();
    });
  };
  next(after);
}

function settle(work) {
  if (--work.pending === 0 && !work.outcome) attempt(work, () => work.transaction.commit?.());
}
