// The worker of one library, ?lib=…, as page.js starts it: runs the steps and times them here, without the way to the page.
import { findLibrary } from './libraries.js';
import { Steps } from './steps.js';

const steps = new Steps(findLibrary(new URLSearchParams(location.search).get('lib')));

addEventListener('message', async ({ data }) => {
  if (data.call === undefined) return;
  try {
    postMessage({ call: data.call, result: data.name === 'load' ? await steps.load() : await steps.run(data.name, data.options) });
  } catch (error) {
    postMessage({ call: data.call, error: `${error?.message ?? error}` });
  }
});
