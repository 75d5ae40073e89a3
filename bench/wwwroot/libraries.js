// Which module a library of the bench is in, and what it is told. A library gives load(), open(name), and for those in a worker
// isWorker and, where the page must help, attach(worker).
const from = (module, id, options = {}) => ({
  id,
  isWorker: options.isWorker ?? false,
  attach: options.attach,
  async load() {
    this.adapter = await import(`./libs/${module}.js`);
    await this.adapter.load?.(options);
  },
  open(name) {
    return this.adapter.open(name, options);
  },
});

const LIBRARIES = [
  from('idb', 'idb', { durability: 'relaxed' }),
  from('idb', 'idb-strict', { durability: 'strict' }),
  from('official', 'sqlite-memory', { vfs: 'memory' }),
  from('official', 'sqlite-sahpool', { vfs: 'opfs-sahpool', isWorker: true }),
  from('wa-sqlite', 'wa-idb-batch', { vfs: 'IDBBatchAtomicVFS', build: 'wa-sqlite-async' }),
  from('wa-sqlite', 'wa-idb-mirror', { vfs: 'IDBMirrorVFS', build: 'wa-sqlite-async' }),
  from('wa-sqlite', 'wa-opfs-coop', { vfs: 'OPFSCoopSyncVFS', build: 'wa-sqlite', isWorker: true }),
  from('wa-sqlite', 'wa-opfs-wal', { vfs: 'OPFSWriteAheadVFS', build: 'wa-sqlite', isWorker: true }),
  from('absurd-sql', 'absurd-sql', { isWorker: true, attach: async worker => (await import('./libs/absurd-sql.js')).attach(worker) }),
  from('pglite', 'pglite', {}),
  from('pglite', 'pglite-tabs', { isShared: true }),
  from('sqlocal', 'sqlocal', {}),
  from('dexie', 'dexie', {}),
  from('absurder-sql', 'absurder', {}),
  from('absurder-sql', 'absurder-queued', { isQueued: true }),
];

export function findLibrary(id) {
  const library = LIBRARIES.find(candidate => candidate.id === id);
  if (!library) throw new Error(`there is no library ${id}`);
  return library;
}
