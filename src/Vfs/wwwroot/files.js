// What SQLite asks of its files and of their system. Each answer is C#'s (SqliteExports), except where it cannot have changed since the last one.

import { doubles, heap, ints, longs, netHeap, netInts, textLength } from './memory.js';

const DASH = 45;

// A file in SQLite's memory: its methods, its number, where the state of its kept SHARED lock is (KeptShare.cs; 0 where it keeps none), and what
// cannot change while that lock lasts, in use or kept, after it was read: where the header's counters are (0: not read), and the size (-1).
const ID = 1, SHARE = 2, HEADER = 3, SIZE = 2, FILE_BYTES = 24;
const NONE = 0, SHARED = 1, IN_USE = 1, KEPT = 2, COUNTERS = 24, COUNTERS_BYTES = 16;
const GIVE_FILE = 7, COMMIT_PHASE_TWO = 22, GIVE_CONNECTION = 30;

// The name, where SQLite has it, of the table whose rows change now: told once for all of them.
let lastTable = 0, preUpdate = 0, setHook, touch;

/** Has a connection tell which tables its transactions change: the file of the database is told. */
export const watch = db => { setHook(db, preUpdate, 0); };

/** A session's filter, which stands in for that while it records: asked once for each table of the main database. It records them all. */
export const noteRecorded = (db, table) => {
  touch(db, 0, table);
  return 1;
};

const shareOf = file => {
  const at = ints()[(file >>> 2) + SHARE];
  return at ? netInts()[at >>> 2] : 0;
};
const setShare = (file, state) => { netInts()[ints()[(file >>> 2) + SHARE] >>> 2] = state; };

function forget(file) {
  ints()[(file >>> 2) + HEADER] = 0;
  doubles()[(file >>> 3) + SIZE] = -1;
}

/** Registers the VFS. */
export function registerVfs(sqlite3, net, name) {
  const { capi, wasm } = sqlite3, text = pointer => pointer ? wasm.cstrToJs(pointer) : null;
  const io = new capi.sqlite3_io_methods(), vfs = new capi.sqlite3_vfs();
  const idOf = file => ints()[(file >>> 2) + ID];
  setHook = wasm.exports.sqlite3_preupdate_hook;
  touch = (db, schema, table) => {
    const out = wasm.pstack.pointer, at = wasm.pstack.alloc(4), code = wasm.exports.sqlite3_file_control(db, schema, GIVE_FILE, at), file = ints()[at >>> 2] >>> 0;
    wasm.pstack.restore(out);
    if (code || !file || ints()[file >>> 2] !== io.pointer) return false;
    net.Touch(idOf(file), text(table));
    return true;
  };
  preUpdate = wasm.installFunction('v(ppippjj)', (state, db, operation, schema, table) => {
    if (table !== lastTable && touch(db, schema, table)) lastTable = table;
  });
  io.$iVersion = 1;
  [vfs.$iVersion, vfs.$szOsFile, vfs.$mxPathname] = [2, FILE_BYTES, 512];
  const characteristics = net.GetDeviceCharacteristics(), sectorSize = net.GetSectorSize(), sideFiles = net.GetSideFiles() >>> 0;
  sqlite3.vfs.installVfs({
    io: {
      struct: io,
      methods: {
        xClose: file => net.Close(idOf(file)),
        xRead: (file, at, size, offset) => {
          const id = idOf(file), from = Number(offset), isHeader = from === COUNTERS && size === COUNTERS_BYTES;
          let netAt = isHeader ? ints()[(file >>> 2) + HEADER] >>> 0 : 0;
          if (!netAt) {
            netAt = net.GetReadAddress(id, from, size) >>> 0;
            if (isHeader && shareOf(file) === IN_USE) ints()[(file >>> 2) + HEADER] = netAt;
          }
          if (netAt) {
            heap().set(netHeap().subarray(netAt, netAt + size), at >>> 0);
            return 0;
          }
          const netBuffer = net.GetBuffer(size) >>> 0, code = net.Read(id, from, size);
          heap().set(netHeap().subarray(netBuffer, netBuffer + size), at >>> 0);
          return code;
        },
        xWrite: (file, at, size, offset) => {
          const id = idOf(file), to = Number(offset);
          const netAt = net.GetWriteAddress(id, to, size) >>> 0;
          const target = netAt || net.GetBuffer(size) >>> 0;
          netHeap().set(heap().subarray(at >>> 0, (at >>> 0) + size), target);
          return netAt ? 0 : net.Write(id, to, size);
        },
        xTruncate: (file, size) => net.Truncate(idOf(file), Number(size)),
        xSync: () => 0,
        xFileSize: (file, out) => {
          let size = doubles()[(file >>> 3) + SIZE];
          if (size < 0) {
            size = net.GetSize(idOf(file));
            if (shareOf(file) === IN_USE) doubles()[(file >>> 3) + SIZE] = size;
          }
          longs()[out >>> 3] = BigInt(size);
          return 0;
        },
        xLock: (file, level) => {
          if (level === SHARED && shareOf(file) === KEPT) {
            setShare(file, IN_USE);
            return 0;
          }
          forget(file);
          return net.Lock(idOf(file), level);
        },
        xUnlock: (file, level) => {
          lastTable = 0;
          if (level === NONE && shareOf(file) === IN_USE) {
            setShare(file, KEPT);
            return 0;
          }
          return net.Unlock(idOf(file), level);
        },
        xCheckReservedLock: (file, out) => {
          ints()[out >>> 2] = net.IsReserved(idOf(file));
          return 0;
        },
        xFileControl: (file, operation, argument) => {
          if (operation === GIVE_CONNECTION) {
            watch(ints()[argument >>> 2]);
            return 0;
          }
          if (operation === COMMIT_PHASE_TWO) lastTable = 0;
          return net.Control(idOf(file), operation);
        },
        xSectorSize: () => sectorSize,
        xDeviceCharacteristics: () => characteristics,
      },
    },
    vfs: {
      struct: vfs,
      name,
      asDefault: true,
      methods: {
        xOpen: (self, path, file, flags, outFlags) => {
          const id = net.Open(text(path), flags);
          ints()[file >>> 2] = id < 0 ? 0 : io.pointer;
          if (id < 0) return -id;
          ints()[(file >>> 2) + ID] = id;
          ints()[(file >>> 2) + SHARE] = net.GetShareAddress(id);
          forget(file);
          if (outFlags) ints()[outFlags >>> 2] = flags;
          return 0;
        },
        xDelete: (self, path) => net.Delete(text(path)),
        xAccess: (self, path, flags, out) => {
          // Asked twice before each read: is there a "-journal", is there a "-wal"? Mostly there are no files beside the databases.
          const end = heap().indexOf(0, path >>>= 0), isSide = heap()[end - 8] === DASH || heap()[end - 4] === DASH;
          ints()[out >>> 2] = isSide && netInts()[sideFiles >>> 2] === 0 ? 0 : net.Exists(text(path));
          return 0;
        },
        xFullPathname: (self, path, room, out) => {
          const size = textLength(path) + 1;
          if (size > room) return capi.SQLITE_CANTOPEN;
          heap().copyWithin(out >>> 0, path >>> 0, (path >>> 0) + size);
          return 0;
        },
        xRandomness: (self, size, out) => {
          crypto.getRandomValues(heap().subarray(out >>> 0, (out >>> 0) + size));
          return size;
        },
        // Nothing can be waited for on the only thread. SQLite counts its attempts, so a busy timeout still ends.
        xSleep: (self, microseconds) => microseconds,
        xCurrentTime: (self, out) => {
          wasm.poke64f(out, net.GetJulianDayMs() / 86400000);
          return 0;
        },
        xCurrentTimeInt64: (self, out) => {
          wasm.poke64(out, BigInt(net.GetJulianDayMs()));
          return 0;
        },
        xGetLastError: () => 0,
      },
    },
  });
}
