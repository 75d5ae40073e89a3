// npm-install.mjs <folder>: runs `npm ci` in the folder, once, also when several builds ask for it at the same time.
// A build that finds another one at work waits for it; node_modules/.installed tells both that the work is done.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const waitLimit_ms = 180_000;
const folder = resolve(process.argv[2]);
const stamp = join(folder, 'node_modules', '.installed');
// One lock for all folders and clones of this user: two npm runs at once slow each other down and can clash in the cache.
const lock = join(tmpdir(), `datasync-npm-${process.getuid?.() ?? 'user'}.lock`);
const wanted = createHash('sha256').update(readFileSync(join(folder, 'package.json')))
  .update(readFileSync(join(folder, 'package-lock.json'))).digest('hex');

const installed = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;

async function takeLock() {
  for (const start = Date.now(); ;) {
    try {
      mkdirSync(lock);
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    // A build that was killed leaves its lock behind.
    const age_ms = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age_ms > waitLimit_ms) rmSync(lock, { recursive: true, force: true });
    if (Date.now() - start > 2 * waitLimit_ms) throw new Error(`another build has been installing npm packages for too long; remove ${lock}`);
    await sleep(100);
  }
}

await takeLock();
try {
  if (!installed()) {
    const npm = spawnSync('npm ci --no-audit --no-fund --loglevel=error', { cwd: folder, shell: true, encoding: 'utf8', timeout: waitLimit_ms });
    if (npm.status !== 0) {
      console.error(`error DATASYNC002: "npm ci" failed in ${folder}. It needs npm (Debian and Ubuntu: apt-get install npm) and a reachable npm registry.`);
      console.error(`${npm.stdout}${npm.stderr}${npm.error ?? ''}`);
      process.exitCode = 1;
    } else {
      writeFileSync(stamp, wanted);
    }
  } else {
    const now = new Date();
    utimesSync(stamp, now, now);
  }
} finally {
  rmSync(lock, { recursive: true, force: true });
}
