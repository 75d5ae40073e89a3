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
];

export function findLibrary(id) {
  const library = LIBRARIES.find(candidate => candidate.id === id);
  if (!library) throw new Error(`there is no library ${id}`);
  return library;
}
