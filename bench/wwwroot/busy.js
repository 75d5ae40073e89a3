const LIMIT_MS = 10_000;

/** Runs something again while another tab has the lock, as an application with a busy timeout would. */
export async function retryBusy(work) {
  for (const end = performance.now() + LIMIT_MS; ;) {
    try {
      return await work();
    } catch (error) {
      if (!/busy|locked/i.test(`${error?.message ?? error}`) || performance.now() > end) throw error;
      await new Promise(resolve => setTimeout(resolve, 1 + Math.random() * 4));
    }
  }
}
