/** Few descriptors: files are closed, appends go on. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { startDaemonProcess } from '../support/daemon.js';
import { client, linesOf, refusal, runFile, testWith } from '../support/faults.js';

const SESSIONS = 1_000;

testWith(['prlimit'], 'a thousand sessions with 256 descriptors', async (t) => {
  const through = ['prlimit', '--nofile=256:256', '--'];
  const daemon = await startDaemonProcess(t, { through });
  const log = await client(t, daemon.dir);
  const ids = Array.from({ length: SESSIONS }, (_, at) => `s${at}`);
  for (const round of [1, 2]) {
    const seqs = await Promise.all(
      ids.map(async (id) => (await log.turns.append(id, { event: 'delta' })).seq),
    );
    t.true(seqs.every((seq) => seq === round));
  }
  const open = await readdir(`/proc/${daemon.process.pid}/fd`);
  t.true(open.length < 256);
  const pages = await Promise.all(ids.map((id) => log.turns.read(id)));
  t.true(pages.every(({ events }) => events.length === 2));
  t.is((await log.stats()).health, 'ok');
  t.is(await daemon.stop(), 0);
});

function batchOver(
  runs: number,
): { thread_id: string; run_id: string; event_type: string; category: string }[] {
  return Array.from({ length: runs }, (_, at) => ({
    thread_id: 't',
    run_id: `r${at}`,
    event_type: 'e',
    category: 'message',
  }));
}

testWith(['prlimit'], 'a batch over more files than can be open is refused whole', async (t) => {
  const through = ['prlimit', '--nofile=256:256', '--'];
  const daemon = await startDaemonProcess(t, { through });
  const log = await client(t, daemon.dir);
  const refused = await refusal(log.runs.putBatch(batchOver(300)));
  t.deepEqual([refused.code, refused.outcome], ['INVALID_ARGUMENT', 'not-committed']);
  t.false(existsSync(join(daemon.dir, 'threads')));
  const events = await log.runs.putBatch(batchOver(16));
  t.is(events.at(-1)?.seq, 16);
  t.is(await daemon.stop(), 0);
});

test('a batch over more files than are kept open while they are clean', async (t) => {
  const daemon = await startDaemonProcess(t);
  const log = await client(t, daemon.dir);
  const events = await log.runs.putBatch(batchOver(1_500));
  t.is(events.at(-1)?.seq, 1_500);
  t.is((await linesOf(runFile(daemon.dir, 't', 'r1499'))).length, 1);
  t.is(await daemon.stop(), 0);
});
