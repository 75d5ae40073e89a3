// What the browser says of this origin's storage.

/** Usage and quota of this origin in bytes (-1 where unknown), and whether it is exempt from eviction. */
export async function estimate() {
  const storage = globalThis.navigator?.storage;
  return { usage: -1, quota: -1, ...await storage?.estimate?.(), persisted: await storage?.persisted?.() ?? false };
}

/** Asks the browser not to evict this origin's data. */
export async function persist() {
  return await globalThis.navigator?.storage?.persist?.() ?? false;
}
