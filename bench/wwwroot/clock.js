// The page's clock and address for Client/Steps.cs.
export const query = () => location.search;

export const clock = () => performance.timeOrigin + performance.now();

export async function waitUntil(time_ms) {
  while (clock() < time_ms) await new Promise(resolve => setTimeout(resolve, time_ms - clock()));
}
