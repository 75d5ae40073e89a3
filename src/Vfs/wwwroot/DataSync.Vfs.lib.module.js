// A library initializer: the runtime calls it when it has started, before the app's Main. What a database needs and .NET does not is fetched
// beside the app's own start, not after its first render. It only saves time: what fails here is tried again, and told, when a database is opened.

import { prefetchSqlite } from './sqlite.js';

export function onRuntimeReady() {
  prefetchSqlite();
  for (const path of ['Vfs/vfs.js', 'Coordination/coordination.js', 'Storage/channel.js', 'Storage/storage.js', 'Storage/sync.js'])
    import(`../DataSync.${path}`).catch(() => { });
}
