// This page's IndexedDB, also after the process that has it was lost.

let frame = null;

// The factory of databases; undefined where there is none.
const databases = () => frame ? frame.contentWindow.indexedDB : globalThis.indexedDB;

/*
 * Told why a database could not be opened. A page in WebKit that lost the process of its databases is never connected to the next one, as the
 * error says ("Connection to Indexed Database server lost. Refresh the page to try again"); a new frame in that page is.
 */
function noteFailure(error) {
  if (!error?.message?.includes('Database server lost')) return;
  const next = document.createElement('iframe');
  next.hidden = true;
  document.documentElement.append(next);
  frame?.remove(); // its connections are lost as well
  frame = next;
}

/** Issues a request on the factory, which can be missing, refuse with an exception, or answer with an error. */
export function askFactory(issue, { onsuccess, onblocked, onfailed }) {
  try {
    const factory = databases();
    if (!factory) throw new DOMException('This browser context has no IndexedDB.', 'NotSupportedError');
    const asked = issue(factory);
    asked.onsuccess = () => onsuccess(asked.result);
    asked.onblocked = onblocked;
    asked.onerror = event => {
      event.preventDefault();
      noteFailure(asked.error);
      onfailed(asked.error);
    };
    return asked;
  } catch (error) {
    onfailed(error);
    return null;
  }
}
