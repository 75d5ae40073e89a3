// How long a page did not get round to anything else: by a message that the page sends to itself again and again. Only where the
// step asks for it (options.observe), since the messages take time themselves.
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
  port2.postMessage(0);
  try {
    const result = await work();
    await new Promise(resolve => setTimeout(resolve, 60));
    longest = Math.max(longest, performance.now() - last);
    return { series: { [options.observe]: [longest] }, note: result.note };
  } finally {
    ended = true;
    port1.close();
  }
}
