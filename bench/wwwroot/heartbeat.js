// How long a page did not get round to anything else: a message that the page sends to itself again and again, and the
// browser's own list of long tasks. Only where the step asks for it (options.observe), since the messages take time themselves.
export async function observe(options, work) {
  if (!options.observe) return work();
  const { port1, port2 } = new MessageChannel();
  let last = performance.now(), longest = 0, ended = false;
  port1.onmessage = () => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (!ended) port2.postMessage(0);
  };
  const tasks = [];
  const observer = new PerformanceObserver(list => tasks.push(...list.getEntries().map(entry => entry.duration)));
  observer.observe({ type: 'longtask' });
  port2.postMessage(0);
  try {
    const result = await work();
    await new Promise(resolve => setTimeout(resolve, 60));
    longest = Math.max(longest, performance.now() - last);
    tasks.push(...observer.takeRecords().map(entry => entry.duration));
    return { series: { [options.observe]: [longest], [`${options.observe}.longtask`]: [Math.max(0, ...tasks)] }, note: result.note };
  } finally {
    ended = true;
    observer.disconnect();
    port1.close();
  }
}
