// BroadcastChannel for DataSync.Storage: bytes in, bytes out. What they mean is decided in .NET.

const channels = new Map();
let dotnet;

/** Connects the module to its .NET half; once, before anything else. */
export async function init() {
  const exports = await globalThis.getDotnetRuntime(0).getAssemblyExports('DataSync.Storage.dll');
  dotnet = exports.DataSync.Storage.BroadcastInterop;
}

/** Joins the channel of a name, and this tab's own; from here on messages come in. */
export function open(id, name, self) {
  const listen = of => {
    const channel = new BroadcastChannel(of);
    channel.onmessage = event => {
      // Anybody on this origin can post here: hand on nothing but bytes.
      if (event.data instanceof Uint8Array) dotnet.OnMessage(id, event.data);
    };
    return channel;
  };
  channels.set(id, { all: listen(name), own: listen(ownName(name, self)), name });
}

/** Sends a copy of the bytes to all other members, or to one. */
export function post(id, view, to) {
  const member = channels.get(id);
  if (!member) return;
  if (to === null) {
    member.all.postMessage(view.slice());
    return;
  }

  // Not kept: whoever has a channel object is woken by all that others post there.
  const channel = new BroadcastChannel(ownName(member.name, to));
  channel.postMessage(view.slice());
  channel.close();
}

/** Leaves. */
export function close(id) {
  const member = channels.get(id);
  channels.delete(id);
  member?.all.close();
  member?.own.close();
}

const ownName = (name, tab) => `${name}:${tab}`;
