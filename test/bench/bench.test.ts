/** The benchmarks run to their end and hand over what they say; how fast anything is, is not asked. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { type Finished, finished } from '../support/cli.js';
import { makeFolder } from '../support/daemon.js';
import { ROOT, tableUnder } from '../support/docs.js';

const PROGRAM = fileURLToPath(new URL('../../bench/main.js', import.meta.url));
const TINY = ['--quick', '--repetitions', '2', '--seconds', '0.05'];

interface Report {
  readonly scale: { readonly name: string; readonly repetitions: number };
  readonly machine: { readonly node: string; readonly fsyncMs: { readonly p50: number } };
  readonly comparisons: readonly {
    readonly name: string;
    readonly unit: string;
    readonly figures: readonly { readonly of: string; readonly values: readonly number[] }[];
    readonly verdicts: readonly { readonly isMet: boolean | null }[];
  }[];
  readonly skipped: readonly { readonly what: string; readonly why: string }[];
}

async function bench(t: ExecutionContext, args: readonly string[]): Promise<Finished> {
  const dir = await makeFolder(t);
  const child = spawn(process.execPath, [PROGRAM, '--dir', dir, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const done = await finished(child);
  t.is(done.code, 0, done.stderr);
  t.deepEqual(readdirSync(dir), [], 'the data are left behind');
  return done;
}

test('a measure from its processes to its report, table and plot', async (t) => {
  const docs = await makeFolder(t);
  await copyFile(join(ROOT, 'docs', 'benchmarks.md'), join(docs, 'benchmarks.md'));
  const args = ['--only', 'append-latency', ...TINY, '--json', '--write', docs];
  const { stdout } = await bench(t, args);
  const report = JSON.parse(stdout) as Report;
  t.like(report.scale, { name: 'quick', repetitions: 2 });
  t.is(report.machine.node, process.version);
  t.true(report.machine.fsyncMs.p50 > 0);
  const [comparison] = report.comparisons;
  t.like(comparison, { name: 'append-latency', unit: 'ms' });
  const figures = new Map(comparison?.figures.map(({ of, values }) => [of, values]));
  const absent = new Set(report.skipped.map(({ what }) => what));
  for (const peer of [
    'eventlogd',
    'bare write + fdatasync',
    'Redis Streams',
    'SQLite WAL',
    'the old way',
  ]) {
    const values = figures.get(peer);
    t.is(values === undefined, absent.has(peer), `${peer} is measured, or said not to be`);
    if (values === undefined) continue;
    t.is(values.length, 2, peer);
    t.true(values.every((value) => value > 0));
  }
  t.is(typeof comparison?.verdicts[0]?.isMet, 'boolean');

  const document = readFileSync(join(docs, 'benchmarks.md'), 'utf8');
  const [target] = tableUnder(document, '## Targets');
  t.deepEqual(target?.slice(1, 3), ['eventlogd', '≤ bare write + fdatasync + 0.3 ms']);
  t.regex(target?.[3] ?? '', /, (met|missed)$/);
  const plots = readdirSync(join(docs, 'benchmarks'));
  t.deepEqual(plots, report.comparisons.map(({ name }) => `${name}.svg`).sort());
  const plot = readFileSync(join(docs, 'benchmarks', 'append-latency.svg'), 'utf8');
  t.regex(plot, /^<svg [\s\S]*bare write \+ fdatasync[\s\S]*<\/svg>$/);
});

test('every measure is named by --help', async (t) => {
  const { stdout } = await bench(t, ['--help']);
  for (const name of ['append-latency', 'append-throughput', 'first-touch', 'recovery']) {
    t.regex(stdout, new RegExp(`^  ${name} `, 'm'));
  }
});
