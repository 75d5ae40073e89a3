// SQLite itself, the official WebAssembly build. It needs no .NET.

const URL_OF_WASM = new URL('./sqlite/sqlite3.wasm', import.meta.url);
let loading;

/** Loads it; once, unless that failed. */
export function loadSqlite() {
  loading ??= load();
  loading.catch(() => { loading = undefined; });
  return loading;
}

async function load() {
  // Compiled while its script arrives. Where that fails (a server that gives it another type), the script has ways of its own, and words for what is wrong.
  const compiling = WebAssembly.compileStreaming(fetch(URL_OF_WASM, { credentials: 'same-origin' })).catch(() => null);
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
