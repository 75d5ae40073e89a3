/** The worker's side: a beat in each interval, and an answer after each delay. It must not use anything around it. */
export function work() {
  onmessage = ({ data: { intervalMs, id, ms } }) => {
    if (intervalMs) setInterval(() => postMessage(0), intervalMs);
    else setTimeout(() => postMessage(id), ms);
  };
}

/**
 * Beats, and delays in between, from a worker, whose timers run on time in a hidden page; from this page where no
 * worker may start.
 */
export class Clock {
  #intervalMs; #beat;
  #worker = null;
  #url = null;
  #timer = 0;
  #delays = new Map();
  #lastDelay = 0;

  constructor(intervalMs, beat) {
    this.#intervalMs = Number(intervalMs);
    this.#beat = beat;
    // Where a content security policy refuses workers from blobs, the same from a file: it has to be fetched, so it comes second.
    this.#start(
      () => new Worker(this.#url = URL.createObjectURL(new Blob([`(${work})()`], { type: 'text/javascript' }))),
      () => new Worker(new URL('./clock-worker.js', import.meta.url), { type: 'module' }));
  }

  /** Calls back after a delay; the returned id serves to cancel. */
  delay(ms, action) {
    const id = ++this.#lastDelay;
    this.#delays.set(id, { ms, action });
    if (this.#worker) this.#worker.postMessage({ id, ms });
    else setTimeout(() => this.#elapse(id), ms);
    return id;
  }

  cancel(id) {
    this.#delays.delete(id);
  }

  stop() {
    this.#leaveWorker();
    clearInterval(this.#timer);
  }

  #elapse(id) {
    const delay = this.#delays.get(id);
    this.#delays.delete(id);
    delay?.action();
  }

  /** Takes the first way that works; the timers of this page where none does. */
  #start(way, ...others) {
    const next = () => {
      this.#leaveWorker();
      if (others.length > 0) this.#start(...others);
      else this.#timer ||= setInterval(this.#beat, this.#intervalMs);
    };
    try {
      const worker = this.#worker = way();
      worker.onmessage = ({ data }) => {
        this.#forgetUrl();
        if (data === 0) this.#beat(); else this.#elapse(data);
      };
      worker.onerror = () => { if (this.#worker === worker) next(); }; // a policy may refuse it only now
      worker.postMessage({ intervalMs: this.#intervalMs });
    } catch {
      next();
    }
  }

  #leaveWorker() {
    this.#worker?.terminate();
    this.#worker = null;
    this.#forgetUrl();
    for (const [id, { ms }] of this.#delays) setTimeout(() => this.#elapse(id), ms);
  }

  #forgetUrl() {
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = null;
  }
}
