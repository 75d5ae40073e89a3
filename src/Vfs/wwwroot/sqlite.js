// SQLite itself, the official WebAssembly build. It needs no .NET.

const URL_OF_WASM = new URL('./sqlite/sqlite3.wasm', import.meta.url);
let fetching, loading;

/**
 * Has it fetched, so that it is here when it is loaded. It is not compiled yet: in 3 of 240 tabs of WebKit .NET crashed ("Out of bounds memory
 * access") while it started and SQLite was compiled beside it, in none of 210 without.
 */
export function prefetchSqlite() {
  fetching ??= fetch(URL_OF_WASM, { credentials: 'same-origin' });
  fetching.catch(() => { fetching = undefined; });
  import('./sqlite/sqlite3.js').catch(() => { });
  return fetching;
}

/** Loads it; once, unless that failed. */
export function loadSqlite() {
  loading ??= load();
  loading.catch(() => { loading = fetching = undefined; });
  return loading;
}

async function load() {
  // Where this fails (a server that gives it another type), the script has ways of its own, and words for what is wrong.
  const compiling = WebAssembly.compileStreaming(prefetchSqlite()).catch(() => null);
  const { default: initialize } = await import('./sqlite/sqlite3.js');
  const module = await compiling;
  globalThis.sqlite3ApiConfig ??= {
    disable: { vfs: { kvvfs: true, opfs: true, 'opfs-vfs': true, 'opfs-sahpool': true, 'opfs-wl': true } },
  };
  return new Promise((loaded, failed) => {
    const instantiateWasm = (imports, receive) => { WebAssembly.instantiate(module, imports).then(instance => receive(instance, module)).catch(failed); };
    initialize({ print: () => { }, printErr: message => console.warn(message), ...(module && { instantiateWasm }) }).then(loaded, failed);
  });
}
