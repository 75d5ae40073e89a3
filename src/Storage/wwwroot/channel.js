// BroadcastChannel for DataSync.Storage: bytes in, bytes out. What they mean is decided in .NET.

const channels = new Map();
// As many channels of other tabs are kept; tabs come and go.
const MAX_OTHERS = 16;
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
  channels.set(id, { all: listen(name), own: listen(ownName(name, self)), name, others: new Map() });
}

/** Sends a copy of the bytes to all other members, or to one. */
export function post(id, view, to) {
  const member = channels.get(id);
  if (!member) return;
  if (to === null) {
    member.all.postMessage(view.slice());
    return;
  }

  // Kept for the next message, since opening one doubles a message's way; nobody listens to it here.
  let other = member.others.get(to);
  if (!other) {
    if (member.others.size >= MAX_OTHERS) forget(member);
    other = new BroadcastChannel(ownName(member.name, to));
    member.others.set(to, other);
  }
  other.postMessage(view.slice());
}

/** Leaves. */
export function close(id) {
  const member = channels.get(id);
  channels.delete(id);
  member?.all.close();
  member?.own.close();
  if (member) forget(member);
}

function forget(member) {
  for (const other of member.others.values()) other.close();
  member.others.clear();
}

const ownName = (name, tab) => `${name}:${tab}`;
