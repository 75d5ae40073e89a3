// The steps of the workloads for a library in JavaScript. A library gives, from open(name):
//   insertOne(row)          returns when durable by the library's own account
//   insertMany(rows)        one transaction, durable
//   points(ids)             one select for each id: a list of row objects
//   scan()                  all rows as objects
//   sum()                   { count, sum }
//   fill(first, count)      adds rows in one transaction, without a value crossing from JavaScript where the library can
//   clear(), count(), close()
//   watch(listener, own, others)   live queries: the 20 newest rows, given to the listener; as many on t, and on the empty table o
// Methods may be synchronous; they are timed as a user awaits them.
import { keys, makeRow, makeRows } from './rows.js';

const now = () => performance.now();
const clock = () => performance.timeOrigin + performance.now();

async function timed(work) {
  const start = now();
  const result = await work();
  return [now() - start, result];
}

function check(isTrue, message) {
  if (!isTrue) throw new Error(`wrong answer: ${message}`);
}

export class Steps {
  #library;
  #db = null;
  #writing = null;

  constructor(library) {
    this.#library = library;
  }

  async load() {
    await this.#library.load?.();
  }

  async run(name, options) {
    const step = this[name];
    if (typeof step !== 'function') throw new Error(`there is no step ${name}`);
    return await step.call(this, options) ?? { series: {} };
  }

  async open({ database }) {
    this.#db = await this.#library.open(database);
  }

  async close() {
    await this.#db?.close();
    this.#db = null;
  }

  /** Several samples of a piece of work, as many as fit into the time; the first `warm` ones are not counted. */
  async #sample({ samples, limit_ms }, warm, before, work) {
    const times = [], end = now() + limit_ms;
    for (let i = -warm; i < samples && (times.length === 0 || now() < end); i++) {
      await before?.();
      const [time] = await timed(work);
      if (i >= 0) times.push(time);
    }
    return times;
  }

  /** Repeats something that is not counted, not for long where it is slow. */
  async #warmUp(count, limit_ms, work) {
    const end = now() + limit_ms / 4;
    for (let i = 0; i < count && (i === 0 || now() < end); i++) await work();
  }

  async w1({ count, warm, limit_ms }) {
    let id = 0;
    await this.#warmUp(warm, limit_ms, () => this.#db.insertOne(makeRow(++id)));
    const times = [], end = now() + limit_ms;
    while (times.length < count && (times.length < 3 || now() < end)) {
      const row = makeRow(++id);
      times.push((await timed(() => this.#db.insertOne(row)))[0]);
    }
    check(await this.#db.count() === id, 'rows after single inserts');
    return { series: { 'w1': times } };
  }

  async w2(options) {
    const rows = makeRows(1, options.rows);
    await new Promise(resolve => setTimeout(resolve));
    const times = await this.#sample(options, 1, () => this.#db.clear(), () => this.#db.insertMany(rows));
    check(await this.#db.count() === options.rows, 'rows after a transaction');
    return { series: { 'w2': times } };
  }

  async #ensure(rows) {
    if (await this.#db.count() !== rows) {
      await this.#db.clear();
      for (let first = 1; first <= rows; first += 10_000) await this.#db.fill(first, Math.min(10_000, rows - first + 1));
    }
  }

  async w3(options) {
    await this.#ensure(options.rows);
    const ids = [...keys(options.rows, options.count)], chunk = 100;
    let found, end = now() + options.limit_ms * 2;
    const times = await this.#sample(options, 1, null, async () => {
      found = [];
      for (let i = 0; i < ids.length; i += chunk) {
        if (now() > end && i > 0) throw new Error(`${i} of ${ids.length} selects took ${Math.round(options.limit_ms * 2 / 1000)} s`);
        found.push(...await this.#db.points(ids.slice(i, i + chunk)));
      }
      end = Infinity;
    });
    check(found.length === ids.length && ids.every((id, i) => found[i].id === id && found[i].payload.length === 100), 'points');
    return { series: { 'w3': times } };
  }

  async w4(options) {
    const series = {};
    for (const [metric, rows] of [['w4.10k', options.rows], ['w4.100k', options.manyRows]]) {
      await this.#ensure(rows);
      let found;
      series[metric] = await this.#sample(options, 1, () => { found = null; }, async () => { found = await this.#db.scan(); });
      check(found.length === rows && found[rows - 1].value === found[rows - 1].id * 0.5 && found[0].payload.length === 100, 'scan');
    }
    let total;
    series['w4.sum'] = await this.#sample(options, 1, null, async () => { total = await this.#db.sum(); });
    check(total.count === options.manyRows && total.sum === options.manyRows * (options.manyRows + 1) / 4, 'sum');
    return { series };
  }

  /** For W5: rows until there are about so many bytes. */
  async fill({ rows, chunk }) {
    for (let first = 1; first <= rows; first += chunk) await this.#db.fill(first, Math.min(chunk, rows - first + 1));
    return { series: {} };
  }

  async openFirst({ database, rows, metric }) {
    const [time] = await timed(async () => {
      await this.open({ database });
      const [row] = await this.#db.points([rows]);
      check(row?.id === rows, 'first answer');
    });
    return { series: { [metric]: [time] } };
  }

  /** Gives how many rows it wrote. */
  async warm({ firstId, count, limit_ms }) {
    let done = 0;
    await this.#warmUp(count, limit_ms, () => this.#db.insertOne(makeRow(firstId + done++)));
    return { series: { warmed: [done] } };
  }

  /** For W5's limit, by IndexedDB itself: as many bytes as the database has, in records of 256 KiB. */
  async fillExtents({ bytes }) {
    await this.#db.fillExtents(bytes);
  }

  async openExtents({ database, bytes, metric }) {
    const [time] = await timed(async () => {
      await this.open({ database });
      check(await this.#db.readExtents() >= bytes, 'bytes of the extents');
    });
    return { series: { [metric]: [time] } };
  }

  /** For W8's limit: answers another tab's messages. */
  async echo() {
    const channel = new BroadcastChannel('bench-echo');
    channel.onmessage = ({ data }) => { if (data.ask) channel.postMessage({ answer: data.ask, payload: data.payload }); };
  }

  async roundTrips({ count, metric }) {
    const channel = new BroadcastChannel('bench-echo'), times = [];
    const payload = new Uint8Array(4096);
    for (let i = -50; i < count; i++) {
      const [time] = await timed(() => new Promise(resolve => {
        channel.onmessage = ({ data }) => { if (data.answer === i + 100) resolve(); };
        channel.postMessage({ ask: i + 100, payload });
      }));
      if (i >= 0) times.push(time);
    }
    channel.close();
    return { series: { [metric]: times } };
  }

  /** For W6 and W8: writes one after the other from a moment on. */
  async writes({ firstId, count, start_ms, limit_ms, metric }) {
    while (clock() < start_ms) await new Promise(resolve => setTimeout(resolve, Math.max(0, start_ms - clock())));
    const times = [], begin = clock(), end = now() + limit_ms;
    for (let i = 0; i < count && now() < end; i++) times.push((await timed(() => this.#db.insertOne(makeRow(firstId + i))))[0]);
    return { series: { [metric]: times, begin: [begin], end: [clock()] } };
  }

  /** For W13: live queries, one of them shown in a list, some others on the same table, most on another one. */
  async watch({ own, others }) {
    const { show } = await import('./shown.js');
    await this.#db.watch(rows => show(rows.map(row => row.id)), own, others);
  }

  /** For W13: writes with a pause behind each; gives when each began. */
  async writesApart({ firstId, count, pause_ms }) {
    const begins = [];
    for (let i = 0; i < count; i++) {
      begins.push(clock());
      await this.#db.insertOne(makeRow(firstId + i));
      await new Promise(resolve => setTimeout(resolve, pause_ms));
    }
    return { series: { begins } };
  }

  /** For W13: waits until a row is shown. */
  async seen({ firstId, limit_ms }) {
    const { seen } = await import('./shown.js');
    return { series: await seen(firstId, limit_ms) };
  }

  async count() {
    return { series: { count: [await this.#db.count()] } };
  }

  /** For W7: writes until told to stop; gives begin and end of each. */
  async startWriting({ firstId }) {
    const writing = { isStopped: false, begins: [], ends: [], error: null };
    this.#writing = writing;
    void (async () => {
      for (let id = firstId; !writing.isStopped; id++) {
        const begin = clock();
        try {
          await this.#db.insertOne(makeRow(id));
        } catch (error) {
          writing.error = `${error?.message ?? error}`;
          await new Promise(resolve => setTimeout(resolve, 5));
          continue;
        }
        writing.begins.push(begin);
        writing.ends.push(clock());
        // A library that never lets go of the thread would not hear of the end.
        if (writing.ends.length % 16 === 0) await new Promise(resolve => setTimeout(resolve));
      }
    })();
  }

  async stopWriting() {
    this.#writing.isStopped = true;
    return this.written();
  }

  async written() {
    return { series: { begins: this.#writing.begins, ends: this.#writing.ends }, note: this.#writing.error };
  }
}
