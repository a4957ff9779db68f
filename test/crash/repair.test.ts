/**
 * The daemon killed at its system calls while it repairs streams. `EVENTLOGD_TEST_STRIDE=1` takes
 * every one of them.
 */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { EventLog } from '../../client/index.js';
import { layoutOf } from '../../daemon/storage/layout.js';
import { byCodeUnit } from '../../daemon/streams/load.js';
import { verifyDirectory } from '../../daemon/verify/verify-directory.js';
import { makeFolder, startDaemonProcess } from '../support/daemon.js';
import { client, injectFault, refusal, runFile, sessionFile, testWith } from '../support/faults.js';
import { copyDirectory } from '../support/journal-files.js';
import { event, requestRepair } from '../support/repair.js';

const STRIDE = Number(process.env['EVENTLOGD_TEST_STRIDE'] ?? 4);
const CALLS = 'rename,fsync,fdatasync,unlink,rmdir,mkdir,pwrite64';
const STREAMS = [
  ['runs', 't'],
  ['turns', 's'],
] as const;

/**
 * A thread of two files that a foreign event fences, and a session of old lines without a seq, in
 * two ranges, with malformed lines among them.
 */
async function fenced(t: ExecutionContext): Promise<string> {
  const dir = join(await makeFolder(t), 'd');
  mkdirSync(join(dir, '_turn_journal'), { recursive: true });
  writeFileSync(
    sessionFile(dir, 's'),
    'not json\n{"event":"x","n":1}\n{"event":"x","n":2}\n{"event":"x","n":3,"seq":7}\nnor this\n',
  );
  const daemon = await startDaemonProcess(t, { dir });
  const log = await client(t, dir);
  await log.turns.read('s');
  appendFileSync(sessionFile(dir, 's'), '{"event":"x","n":4}\n{"event":"x","n":5}\n{"half');
  await log.turns.read('s');
  await log.runs.put(event('a', 'a1'));
  await log.runs.put(event('b', 'b2'));
  await log.runs.put(event('a', 'a3'));
  appendFileSync(
    runFile(dir, 't', 'b'),
    `${JSON.stringify({ ...event('b', 'foreign'), seq: 2 })}\n`,
  );
  await log.runs.listMessages('t');
  // A kill, so that all of it is in the log yet.
  await log.close();
  await daemon.kill('SIGKILL');
  return dir;
}

async function repairAll(dir: string): Promise<void> {
  for (const stream of STREAMS) await requestRepair(dir, stream);
}

interface Served {
  readonly contents: readonly string[];
  readonly turns: readonly (readonly [number, unknown])[];
  readonly runs: readonly number[];
}

async function servedBy(log: EventLog): Promise<Served> {
  const messages = await log.runs.listMessages('t', { limit: 100 });
  const { events } = await log.turns.read('s');
  return {
    contents: messages.map(({ content }) => String(content)).sort(),
    turns: events.map(({ seq, n }) => [Number(seq), n]),
    runs: messages.map(({ seq }) => Number(seq)),
  };
}

testWith(
  ['strace'],
  'killed at its system calls, a repair is done, or not, or is to be done again; nothing is lost or doubled',
  async (t) => {
    t.timeout(STRIDE === 1 ? 1_800_000 : 300_000);
    const source = await fenced(t);
    let kills = 0;
    for (let call = 1; ; call += STRIDE) {
      const dir = join(await makeFolder(t), 'd');
      await copyDirectory(source, dir);
      const daemon = await startDaemonProcess(t, { dir });
      const log = await client(t, dir);
      const before = await servedBy(log);
      await log.close();
      const fault = `${CALLS}:signal=SIGKILL:when=${call}`;
      const { lift, killed } = await injectFault(t, daemon.process.pid as number, fault);
      const repairs = repairAll(dir).then(
        () => 'repaired',
        () => 'killed',
      );
      const end = await Promise.race([repairs, killed.then(() => 'killed')]);
      // What the tracer has killed by half keeps its sockets until the tracer is gone.
      await lift();
      await repairs;
      await daemon.kill('SIGKILL');
      await sameAfterwards(t, dir, { before, call });
      if (end === 'repaired') break;
      kills += 1;
    }
    t.true(kills >= 5, `killed ${kills} times`);
  },
);

async function sameAfterwards(
  t: ExecutionContext,
  dir: string,
  { before, call }: { readonly before: Served; readonly call: number },
): Promise<void> {
  const daemon = await startDaemonProcess(t, { dir });
  const log = await client(t, dir);
  const between = await servedBy(log);
  t.deepEqual([between.contents, between.turns], [before.contents, before.turns], `call ${call}`);
  const { code } = await refusal(log.runs.put(event('a', 'next')));
  t.true(['STREAM_FENCED', 'ANSWERED'].includes(code), `call ${call}: ${code}`);
  const contents =
    code === 'ANSWERED' ? [...before.contents, 'next'].sort(byCodeUnit) : before.contents;
  for (const stream of STREAMS) {
    const { actions, applied } = await requestRepair(dir, stream);
    t.true(applied || actions.length === 0, `call ${call}`);
  }
  const after = await servedBy(log);
  t.deepEqual([after.contents, after.turns], [contents, before.turns], `call ${call}`);
  t.deepEqual(after.runs.slice(0, 2), [1, 2]);
  t.is(new Set(after.runs).size, after.runs.length);
  const { seq } = await log.runs.put(event('a', 'last'));
  t.true(Number(seq) > Math.max(...after.runs));
  await log.turns.append('s', { event: 'x', n: 6 });
  await log.close();
  t.is(await daemon.stop(), 0, daemon.output());
  const findings: unknown[] = [];
  verifyDirectory({
    layout: layoutOf(dir),
    onFinding: (finding) => {
      if (finding.level !== 'info') findings.push(finding);
    },
  });
  t.deepEqual(findings, [], `call ${call}`);
}
