/** A folder that looks like a clone after `npm ci`, and shells in it, to run what documents show. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { ExecutionContext } from 'ava';
import { makeFolder } from './daemon.js';
import { ROOT } from './docs.js';

/** A clone after `npm ci`, without what `prepare` would build from. */
export async function makeClone(t: ExecutionContext): Promise<string> {
  const clone = await makeFolder(t);
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  delete manifest.scripts['prepare'];
  await writeFile(join(clone, 'package.json'), JSON.stringify(manifest));
  for (const name of ['dist', 'node_modules']) await symlink(join(ROOT, name), join(clone, name));
  return clone;
}

/** A shell in the clone; npm keeps its files there too. */
export function shell(clone: string, command: string): ChildProcess {
  const { PATH, HOME } = process.env;
  return spawn('bash', ['-euo', 'pipefail', '-c', command], {
    cwd: clone,
    env: { PATH, HOME, npm_config_cache: join(clone, '.npm'), npm_config_update_notifier: 'false' },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
}

export async function run(
  clone: string,
  command: string,
): Promise<{ code: unknown; output: string }> {
  const child = shell(clone, command);
  if (child.stdout === null || child.stderr === null) throw new Error('no pipes');
  const [stdout, stderr, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ]);
  return { code, output: `${stdout}${stderr}` };
}
