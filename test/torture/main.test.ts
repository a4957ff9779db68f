/** `npm run torture` as a program: what it prints and how it ends. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { type Finished, finished } from '../support/cli.js';
import { makeFolder } from '../support/daemon.js';
import type { Act } from './plan.js';

const PROGRAM = fileURLToPath(new URL('./main.js', import.meta.url));

async function torture(...args: readonly string[]): Promise<Finished> {
  return await finished(spawn(process.execPath, [PROGRAM, ...args]));
}

test('--help has examples', async (t) => {
  const { code, stdout } = await torture('--help');
  t.is(code, 0);
  t.regex(stdout, /npm run torture -- --seed 7 --minutes 2 /);
});

test('--plan prints the same acts each time, and does nothing', async (t) => {
  const [first, second] = [
    await torture('--seeds', '3..4', '--minutes', '1', '--plan'),
    await torture('--seeds', '3..4', '--minutes', '1', '--plan'),
  ];
  t.deepEqual([first.code, first.stdout], [0, second.stdout]);
  const acts = first.lines.map((line) => JSON.parse(line) as Act);
  t.is(acts.filter(({ number }) => number === 1).length, 2);
  t.true(acts.every(({ steps }) => steps.length > 0));
});

for (const args of [
  ['--minutes', '0'],
  ['--seed', 'x'],
  ['--seeds', '5..1'],
  ['--seed', '1', '--seeds', '1..2'],
  ['--nothing'],
]) {
  test(`usage: ${args.join(' ')}`, async (t) => {
    const { code, stderr } = await torture(...args);
    t.is(code, 2);
    t.not(stderr, '');
  });
}

test('a failure prints its seed, keeps the directory and exits 1', async (t) => {
  const daemon = join(await makeFolder(t), 'main.js');
  writeFileSync(daemon, 'process.exitCode = 3;\n');
  const { code, lines } = await torture('--seed', '5', '--minutes', '0.1', '--daemon', daemon);
  t.is(code, 1);
  t.regex(lines[0] ?? '', /^FINDING start: the daemon did not start: the daemon ended with 3/);
  const last = /^torture: seed 5: 1 acts .*; 1 findings; kept: (.*)$/.exec(lines.at(-1) ?? '');
  const folder = last?.[1] ?? '';
  t.teardown(() => rmSync(folder, { recursive: true }));
  t.true(existsSync(join(folder, 'act-1', 'history')));
  t.regex(readFileSync(join(folder, 'act-1', 'driver.log'), 'utf8'), /the daemon ended with 3/);
});
