// A list on the page that a live query fills, its newest row first, and when each row was first in it.
import { clock } from './clock.js';

const list = document.body.appendChild(document.createElement('ol'));
let newest = 0, told = () => { };
const ids = [], times = [];

/** Called with the ids of the rows, the newest first. */
export function show(rows) {
  list.replaceChildren(...[...rows].map(id => {
    const item = document.createElement('li');
    item.textContent = `row ${id}`;
    return item;
  }));
  if (!rows.length || rows[0] <= newest) return;
  newest = rows[0];
  ids.push(newest);
  times.push(clock());
  told();
}

/** Waits until a row is shown; gives which rows were the newest, and from when on. */
export async function seen(id, limit_ms) {
  const limit = new Promise((_, failed) => setTimeout(() => failed(new Error(`row ${id} was not shown within ${limit_ms} ms; the newest is ${newest}`)), limit_ms));
  while (newest < id) await Promise.race([limit, new Promise(resolve => { told = resolve; })]);
  limit.catch(() => { });
  return { ids, times };
}

/** The same as JSON, for .NET. */
export const seenJson = async (id, limit_ms) => JSON.stringify(await seen(id, limit_ms));
