// For W16's limit (Remote/RoundTrips.cs): messages to an echoing server and back, one after the other; how long each took, as JSON.
export async function echo(url, warm, count, bytes) {
  const socket = new WebSocket(url), message = new Uint8Array(bytes), times = [];
  socket.binaryType = 'arraybuffer';
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = () => reject(new Error('no echo')); });
  for (let i = -warm; i < count; i++) {
    const begin = performance.now();
    await new Promise((resolve, reject) => {
      socket.onmessage = resolve;
      socket.onclose = () => reject(new Error('the echo ended'));
      socket.send(message);
    });
    if (i >= 0) times.push(performance.now() - begin);
  }
  socket.onclose = null;
  socket.close();
  return JSON.stringify(times);
}
