// The page of one library, ?lib=…: bench.step(name, options) runs a step of steps.js here, or in a worker where the library
// needs one, and gives { series: { metric: [numbers] } }.
import { observe } from './heartbeat.js';
import { findLibrary } from './libraries.js';

const query = new URLSearchParams(location.search);
const library = findLibrary(query.get('lib'));

async function startHere() {
  const { Steps } = await import('./steps.js');
  const steps = new Steps(library);
  await steps.load();
  return (name, options) => steps.run(name, options);
}

async function startWorker() {
  const worker = new Worker(`/bench/worker.js?lib=${library.id}`, { type: 'module' });
  const calls = new Map();
  let lastCall = 0;
  const call = (name, options) => new Promise((resolve, reject) => {
    calls.set(++lastCall, { resolve, reject });
    worker.postMessage({ call: lastCall, name, options });
  });
  worker.addEventListener('message', async ({ data }) => {
    if (data.call === undefined) return;
    const { resolve, reject } = calls.get(data.call);
    calls.delete(data.call);
    if (data.error) reject(new Error(data.error)); else resolve(data.result);
  });
  worker.addEventListener('error', event => {
    for (const { reject } of calls.values()) reject(new Error(event.message ?? 'the worker failed'));
  });
  await library.attach?.(worker);
  await call('load', {});
  return call;
}

const started = library.isWorker ? startWorker() : startHere();
started.catch(() => {});

globalThis.bench = {
  ready: started.then(() => true),
  step: async (name, options) => { const run = await started; return observe(options, () => run(name, options)); },
};
globalThis.bench.ready.catch(() => {});
