// The two memories: SQLite's, and .NET's ("net"). Growth of a memory detaches the views on it, so each use checks for that.

let memory, runtime, bytes, words, netView, netViews;

/** Makes the views; once, when both are there. */
export function share(sqliteMemory, dotnetRuntime) {
  [memory, runtime] = [sqliteMemory, dotnetRuntime];
  [bytes, words] = [new Uint8Array(memory.buffer), new Int32Array(memory.buffer)];
  viewNet();
}

export const heap = () => bytes.length ? bytes : (bytes = new Uint8Array(memory.buffer));
export const ints = () => words.length ? words : (words = new Int32Array(memory.buffer));
export const netHeap = () => netView.length ? netView : viewNet();
export const netInts = () => (netView.length || viewNet(), netViews[0]);
export const netDoubles = () => (netView.length || viewNet(), netViews[1]);
export const netLongs = () => (netView.length || viewNet(), netViews[2]);

function viewNet() {
  const { buffer } = netView = runtime.localHeapViewU8();
  netViews = [new Int32Array(buffer), new Float64Array(buffer), new BigInt64Array(buffer)];
  return netView;
}

/** Copies between the memories; few bytes faster than a view would. */
export function copy(target, to, source, from, size) {
  if (size > 24) target.set(source.subarray(from, from + size), to);
  else for (const end = from + size; from < end;) target[to++] = source[from++];
}
