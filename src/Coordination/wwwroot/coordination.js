// One tab's access to what the tabs of an origin share: the lease record in localStorage, Web Locks, a
// BroadcastChannel, a heartbeat from a worker, and the page's lifecycle. Every method is one atomic step; what to
// do is decided in .NET. The one thing done here unasked is to let go when the page is hidden for good, frozen
// or closed, since nothing asynchronous is sure to run then.

import { Clock } from './clock.js';

/** How long another tab may keep the check-and-set lock. It holds it for one synchronous step, unless it was stopped there. */
const LOCK_PATIENCE_MS = 250;

/** Without Web Locks: the time for another tab's write to arrive before reading again. */
const SETTLE_MS = 30;

/** Longer texts are handed on empty, to be counted as dropped. */
const MAX_MESSAGE_LENGTH = 2048;

const tabs = new Map(); // of .NET in this page: its number -> the tab
let page;

/** Connects the module to .NET in this page (WebAssembly). Calls, answers and signals then go by number, which costs less. */
export async function init() {
  const exports = await globalThis.getDotnetRuntime(0).getAssemblyExports('DataSync.Coordination.dll');
  page = exports.DataSync.Coordination.WebAssemblyTabPage;
}

/** As `open`; the answer tells whether there are Web Locks. */
export function enter(number, request, scope, id, heartbeatMs, farewell) {
  const dotnet = { invokeMethodAsync: async (_, kind, data) => page.OnSignal(number, kind, data) };
  tabs.set(number, null);
  answer(request, async () => {
    const tab = await open(dotnet, scope, id, heartbeatMs, farewell);
    if (tabs.has(number)) tabs.set(number, tab);
    else tab.close(); // it was left meanwhile
    return String(tab.hasLocks());
  });
}

/** Calls a method of the tab; with a null answer where it has none. */
export function call(number, request, method, first, second, third) {
  answer(request, () => tabs.get(number)[method](first, second, third));
}

/** Closes the tab. */
export function leave(number) {
  tabs.get(number)?.close();
  tabs.delete(number);
}

async function answer(request, work) {
  let result;
  try {
    result = await work();
  } catch (error) {
    page.OnFailed(request, String(error));
    return;
  }
  page.OnAnswer(request, result ?? null);
}

/** Enters the scope: probes the storage, takes the tab's lock, starts listening and the heartbeat. */
export async function open(dotnet, scope, id, heartbeatMs, farewell) {
  const tab = new Tab(dotnet, scope, id, heartbeatMs, farewell);
  await tab.enter();
  return tab;
}

class Tab {
  #dotnet; #id; #heartbeatMs; #farewell; #storage; #prefix; #leaseKey; #channelName;
  #locks = globalThis.navigator?.locks ?? null;
  #letGo = null;
  #armed = null;
  #channel = null;
  #clock = null;
  #beats = 0;
  #tickSentAt = -Infinity;
  #tickPending = false;
  #suspended = false;
  #closed = false;
  #watches = new Map();
  #listeners = new AbortController();

  constructor(dotnet, scope, id, heartbeatMs, farewell) {
    this.#dotnet = dotnet;
    this.#id = id;
    this.#heartbeatMs = heartbeatMs;
    this.#farewell = farewell;
    this.#prefix = `datasync:${scope}:tab:`;
    this.#leaseKey = `datasync:${scope}:lease`;
    this.#channelName = `datasync:${scope}`;
    this.#storage = globalThis.localStorage; // throws where site data is blocked
  }

  async enter() {
    const probe = `${this.#prefix}${this.#id}`;
    this.#storage.setItem(probe, '0'); // throws on a full or refused storage
    if (this.#locks) this.#storage.removeItem(probe);
    await this.#takeLock();
    const { signal } = this.#listeners;
    addEventListener('storage', e => {
      if (e.storageArea === this.#storage && (e.key === this.#leaseKey || e.key === null)) this.#signal('lease');
    }, { signal });
    addEventListener('pagehide', () => this.#suspend(), { signal });
    addEventListener('pageshow', e => { if (e.persisted) this.#resume(); }, { signal });
    document.addEventListener('freeze', () => this.#suspend(), { signal });
    document.addEventListener('resume', () => this.#resume(), { signal });
    this.#listen();
  }

  hasLocks() {
    return this.#locks !== null;
  }

  read() {
    return this.#storage.getItem(this.#leaseKey);
  }

  /** Writes `next` if the record still is `expected`; returns what is there afterwards. */
  async compareAndSet(expected, next, release) {
    const step = () => {
      const current = this.read();
      if (current !== expected || this.#suspended || this.#closed) return current;
      this.#storage.setItem(this.#leaseKey, next);
      this.#armed = release === null ? null : { text: next, release };
      return next;
    };
    if (this.#locks) return this.#underLock(step);
    const written = step();
    if (written === next) await new Promise(done => this.#clock ? this.#clock.delay(SETTLE_MS, done) : done());
    return this.read();
  }

  /** The tabs, one a line: live ids from held locks or, without locks, "id beat" from the presence entries. */
  async tabs() {
    if (this.#locks) {
      const { held } = await this.#locks.query();
      return held.filter(lock => lock.mode === 'exclusive' && lock.name.startsWith(this.#prefix))
        .map(lock => lock.name.slice(this.#prefix.length)).join('\n');
    }
    const lines = [];
    for (let i = 0; i < this.#storage.length; i++) {
      const key = this.#storage.key(i);
      if (key.startsWith(this.#prefix)) lines.push(`${key.slice(this.#prefix.length)} ${this.#storage.getItem(key)}`);
    }
    return lines.join('\n');
  }

  /** Removes the presence entry of a tab that has left or has long been silent. */
  forget(id) {
    this.#storage.removeItem(this.#prefix + id);
  }

  /** Signals 'gone' when the tab's lock is free. Waiters share it, so that all learn at once. */
  watch(id) {
    if (!this.#locks || this.#watches.has(id)) return;
    const stop = new AbortController();
    this.#watches.set(id, stop);
    this.#locks.request(this.#prefix + id, { mode: 'shared', signal: stop.signal }, () => {
      this.#watches.delete(id);
      this.#signal('gone', id);
    }).catch(() => { if (this.#watches.get(id) === stop) this.#watches.delete(id); });
  }

  unwatch(id) {
    this.#watches.get(id)?.abort();
    this.#watches.delete(id);
  }

  post(text) {
    this.#channel?.postMessage(text);
  }

  /** Leaves: lets everything go and takes every listener away, so that the page can be cached. */
  close() {
    if (this.#closed) return;
    if (!this.#suspended) this.#release();
    this.#closed = true;
    this.#listeners.abort();
    for (const stop of this.#watches.values()) stop.abort();
    this.#watches.clear();
  }

  async #takeLock() {
    if (!this.#locks) return;
    await new Promise((taken, refused) => {
      this.#locks.request(this.#prefix + this.#id, () => {
        taken();
        return this.#closed || this.#suspended ? undefined : new Promise(letGo => { this.#letGo = letGo; });
      }).catch(refused);
    });
  }

  async #underLock(step) {
    const patience = new AbortController();
    const clock = this.#clock;
    const timer = clock?.delay(LOCK_PATIENCE_MS, () => patience.abort());
    try {
      return await this.#locks.request(`${this.#leaseKey}:set`, { signal: patience.signal }, step);
    } catch (error) {
      // A tab that was stopped inside the step would block all others for ever. The epoch in the store makes
      // the unlocked step safe; waiting would not be.
      if (error?.name === 'AbortError') return step();
      throw error;
    } finally {
      clock?.cancel(timer);
    }
  }

  #listen() {
    this.#channel = new BroadcastChannel(this.#channelName);
    this.#channel.onmessage = ({ data }) =>
      this.#signal('message', typeof data === 'string' && data.length <= MAX_MESSAGE_LENGTH ? data : '');
    this.#clock = new Clock(this.#heartbeatMs, () => this.#beat());
  }

  #beat() {
    if (!this.#locks) {
      try {
        this.#storage.setItem(this.#prefix + this.#id, String(++this.#beats));
      } catch {
        // A storage that fills up shows at the next check-and-set, which reports it.
      }
    }
    // After a block of this thread the worker's messages come in a bunch: one is enough. A tick whose answer got
    // lost (a broken connection to a server) does not stop the ones after it.
    const now = performance.now();
    const since = now - this.#tickSentAt;
    if (since < this.#heartbeatMs / 2 || (this.#tickPending && since < 5 * this.#heartbeatMs)) return;
    this.#tickPending = true;
    this.#tickSentAt = now;
    this.#signal('tick').finally(() => { this.#tickPending = false; });
  }

  #release() {
    try {
      if (this.#armed && this.read() === this.#armed.text) this.#storage.setItem(this.#leaseKey, this.#armed.release);
      // Not removed: an entry that is missing was cleared by the user and says nothing about its tab.
      if (!this.#locks) this.#storage.setItem(this.#prefix + this.#id, 'left');
    } catch {
      // The lease then ends by itself.
    }
    this.#armed = null;
    this.#letGo?.();
    this.#letGo = null;
    this.#channel?.postMessage(this.#farewell);
    this.#channel?.close();
    this.#channel = null;
    this.#clock?.stop();
    this.#clock = null;
  }

  #suspend() {
    if (this.#suspended || this.#closed) return;
    this.#suspended = true;
    this.#release();
    this.#signal('suspended');
  }

  async #resume() {
    if (!this.#suspended || this.#closed) return;
    this.#suspended = false;
    await this.#takeLock();
    if (this.#suspended || this.#closed) return;
    this.#listen();
    this.#beat();
    this.#signal('resumed');
  }

  #signal(kind, data = null) {
    if (this.#closed) return Promise.resolve();
    return this.#dotnet.invokeMethodAsync('OnSignal', kind, data).catch(() => {});
  }
}
