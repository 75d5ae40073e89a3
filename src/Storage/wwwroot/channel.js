// BroadcastChannel for DataSync.Storage: bytes in, bytes out. What they mean is decided in .NET.

const channels = new Map();
let dotnet;

/** Connects the module to its .NET half; once, before anything else. */
export async function init() {
  const exports = await globalThis.getDotnetRuntime(0).getAssemblyExports('DataSync.Storage.dll');
  dotnet = exports.DataSync.Storage.BroadcastInterop;
}

/** Joins the channel of a name; from here on messages come in. */
export function open(id, name) {
  const channel = new BroadcastChannel(name);
  channel.onmessage = event => {
    // Anybody on this origin can post here: hand on nothing but bytes.
    if (event.data instanceof Uint8Array) dotnet.OnMessage(id, event.data);
  };
  channels.set(id, channel);
}

/** Sends a copy of the bytes to all other members. */
export function post(id, view) {
  channels.get(id)?.postMessage(view.slice());
}

/** Leaves. */
export function close(id) {
  const channel = channels.get(id);
  channels.delete(id);
  channel?.close();
}
