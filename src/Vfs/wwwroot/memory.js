// The two memories: SQLite's, and .NET's ("net"). Growth of a memory detaches the views on it, so each use checks for that.

let memory, runtime, bytes, views, netView, netViews;

/** Makes the views; once, when both are there. */
export function share(sqliteMemory, dotnetRuntime) {
  [memory, runtime] = [sqliteMemory, dotnetRuntime];
  view();
  viewNet();
}

export const heap = () => bytes.length ? bytes : view();
export const ints = () => (bytes.length || view(), views[0]);
export const doubles = () => (bytes.length || view(), views[1]);
export const longs = () => (bytes.length || view(), views[2]);
export const netHeap = () => netView.length ? netView : viewNet();
export const netInts = () => (netView.length || viewNet(), netViews[0]);
export const netDoubles = () => (netView.length || viewNet(), netViews[1]);
export const netLongs = () => (netView.length || viewNet(), netViews[2]);

const wider = buffer => [new Int32Array(buffer), new Float64Array(buffer), new BigInt64Array(buffer)];

function view() {
  bytes = new Uint8Array(memory.buffer);
  views = wider(memory.buffer);
  return bytes;
}

function viewNet() {
  netView = runtime.localHeapViewU8();
  netViews = wider(netView.buffer);
  return netView;
}

/** Copies between the memories; few bytes faster than a view would. */
export function copy(target, to, source, from, size) {
  if (size > 24) target.set(source.subarray(from, from + size), to);
  else for (const end = from + size; from < end;) target[to++] = source[from++];
}

/** Of a text in SQLite's memory that ends with a zero. */
export const textLength = at => heap().indexOf(0, at >>> 0) - (at >>> 0);
