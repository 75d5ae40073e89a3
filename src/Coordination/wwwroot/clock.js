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
    const source = `setInterval(() => postMessage(0), ${this.#intervalMs});
      onmessage = ({ data: { id, ms } }) => setTimeout(() => postMessage(id), ms);`;
    try {
      this.#url = URL.createObjectURL(new Blob([source], { type: 'text/javascript' }));
      this.#worker = new Worker(this.#url);
      this.#worker.onmessage = ({ data }) => {
        this.#forgetUrl();
        if (data === 0) beat(); else this.#elapse(data);
      };
      this.#worker.onerror = () => this.#fallBack(); // a content security policy may refuse it only now
    } catch {
      this.#fallBack();
    }
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

  #fallBack() {
    this.#leaveWorker();
    this.#timer ||= setInterval(this.#beat, this.#intervalMs);
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
