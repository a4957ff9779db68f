/** The daemon passes every named point, and dies there. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { EventLog } from '../../../client/index.js';
import { makeFolder, startDaemonProcess } from '../daemon.js';
import { client, eventually, runFile, testWith } from '../faults.js';
import { FaultShim } from './fault-shim.js';
import { killAt, POINTS } from './named-points.js';
import type { Rule } from './rules.js';

const ARGS = ['--segment-bytes', '256k', '--log-retention-bytes', '0'];
const TEXT = 'x'.repeat(20_000);

/** Rules that count how often the points are passed. */
function counting(points: readonly string[]): Rule[] {
  return points.map((point) => {
    const { calls, paths } = killAt(point);
    return { calls, paths, effect: { kind: 'count' } };
  });
}

async function appendMuch(log: EventLog): Promise<void> {
  const run = { thread_id: 't', event_type: 'e', category: 'c', content: TEXT };
  for (let at = 0; at < 30; at += 1) {
    await log.turns.append('s', { event: 'delta', content: TEXT });
    await log.runs.put({ ...run, run_id: `r${at % 3}` });
  }
}

async function shimIn(t: ExecutionContext, folder: string): Promise<FaultShim> {
  const shim = await FaultShim.make(folder);
  t.teardown(() => shim.close());
  return shim;
}

testWith(
  ['fault shim'],
  'appends, deletions, checkpoints and recovery pass them all',
  async (t) => {
    const dir = join(await makeFolder(t), 'd');
    const shim = await shimIn(t, join(dir, '..'));
    const passed = new Map<string, number>();
    const points = POINTS.filter((point) => point.startsWith('before-'));
    const begin = (more: readonly Rule[] = []): void => {
      for (const [index, hits] of shim.hits().entries()) {
        const point = points[index];
        if (point !== undefined) passed.set(point, (passed.get(point) ?? 0) + hits);
      }
      shim.set([...counting(points), ...more]);
    };
    begin();
    const first = await startDaemonProcess(t, { dir, args: ARGS, env: shim.env });
    const log = await client(t, dir);
    await appendMuch(log);
    // A line in another run's file makes that file be written anew when its run is deleted.
    await log.runs.deleteByThread('t');
    await appendMuch(log);
    appendFileSync(runFile(dir, 't', 'r0'), `${JSON.stringify(misfiled('r1'))}\n`);
    await log.runs.deleteByRun('t', 'r1');
    await log.turns.delete('s');
    await log.turns.append('s', { event: 'delta' });
    begin([killAt('torn-log-write')]);
    void log.turns.append('s', { event: 'delta' });
    t.is(await first.ended, null);
    begin();
    const second = await startDaemonProcess(t, { dir, args: ARGS, env: shim.env });
    t.is((await log.turns.append('s', { event: 'delta' })).seq, 3);
    t.is(await second.stop(), 0);
    begin();
    t.deepEqual(
      points.filter((point) => (passed.get(point) ?? 0) === 0),
      [],
    );
  },
);

function misfiled(runId: string): Record<string, unknown> {
  const ids = { thread_id: 't', run_id: runId, event_type: 'e', category: 'c' };
  const created_at = '2026-01-01T00:00:00.000000+00:00';
  return { ...ids, content: '', metadata: {}, seq: 1_000, created_at };
}

for (const point of ['before-log-fsync', 'after-log-fsync', 'torn-journal-write'] as const) {
  testWith(
    ['fault shim'],
    `killed ${point}: the append is answered once, by the next`,
    async (t) => {
      const dir = join(await makeFolder(t), 'd');
      const shim = await shimIn(t, join(dir, '..'));
      const daemon = await startDaemonProcess(t, { dir, env: shim.env });
      const log = await client(t, dir);
      await log.turns.append('s', { event: 'submitted' });
      shim.set([killAt(point)]);
      const append = log.turns.append('s', { event: 'delta' });
      t.is(await daemon.ended, null);
      t.deepEqual(shim.hits(), [1]);
      await startDaemonProcess(t, { dir, env: shim.env });
      t.is((await append).seq, 2);
      const events = await eventually(
        async () => (await log.turns.read('s')).events,
        ({ length }) => length === 2,
      );
      t.deepEqual(
        events.map(({ seq }) => seq),
        [1, 2],
      );
    },
  );
}
