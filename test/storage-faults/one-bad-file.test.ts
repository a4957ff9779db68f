/** One file that cannot be written hurts its stream alone. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import type { EventLog } from '../../client/index.js';
import { type DaemonProcess, makeFolder, startDaemonProcess } from '../support/daemon.js';
import { client, linesOf, refusal, runFile, sessionFile, testWith } from '../support/faults.js';

const run = promisify(execFile);
const NOBODY = 65_534;

/** The stream is refused, others are not; mended, it works again without a restart. */
async function hurtsOne(
  t: ExecutionContext,
  { dir, log }: { readonly dir: string; readonly log: EventLog },
  mend: () => Promise<unknown>,
): Promise<void> {
  const [before] = (await linesOf(sessionFile(dir, 'other'))).slice(-1);
  for (let round = 0; round < 2; round += 1) {
    const [refused, other, put] = await Promise.all([
      refusal(log.turns.append('bad', { event: 'delta' })),
      log.turns.append('other', { event: 'delta' }),
      log.runs.put({ thread_id: 't', run_id: 'r', event_type: 'e', category: 'c' }),
    ]);
    t.deepEqual([refused.code, refused.outcome], ['STORAGE_FAILED', 'not-committed']);
    t.true(refused.message.includes('bad.jsonl'), refused.message);
    t.is(other.seq, round + 1);
    t.is(put.seq, round + 1);
  }
  t.is(before, undefined);
  t.is((await log.stats()).health, 'ok');
  await mend();
  const { seq } = await log.turns.append('bad', { event: 'delta' });
  t.is((await log.turns.read('bad')).events.at(-1)?.seq, seq);
  t.is((await linesOf(sessionFile(dir, 'bad'))).length, seq);
}

async function started(
  t: ExecutionContext,
): Promise<{ readonly dir: string; readonly log: EventLog; readonly daemon: DaemonProcess }> {
  const daemon = await startDaemonProcess(t);
  return { dir: daemon.dir, daemon, log: await client(t, daemon.dir) };
}

test('a folder in the place of a journal file', async (t) => {
  const served = await started(t);
  const path = sessionFile(served.dir, 'bad');
  await mkdir(path, { recursive: true });
  await hurtsOne(t, served, () => rm(path, { recursive: true }));
  t.is(await served.daemon.stop(), 0);
});

test('a link in the place of a journal file is not followed', async (t) => {
  const served = await started(t);
  const path = sessionFile(served.dir, 'bad');
  const target = join(await makeFolder(t), 'target');
  await writeFile(target, 'untouched\n');
  await mkdir(dirname(path), { recursive: true });
  await symlink(target, path);
  await hurtsOne(t, served, () => rm(path));
  t.deepEqual(await linesOf(target), ['untouched']);
  t.is(await served.daemon.stop(), 0);
});

test('a file in the place of the folder of a thread', async (t) => {
  const { dir, log, daemon } = await started(t);
  const event = { thread_id: 'bad', run_id: 'r', event_type: 'e', category: 'c' };
  await mkdir(join(dir, 'threads'), { recursive: true });
  await writeFile(join(dir, 'threads', 'bad'), 'a file\n');
  const batch = await refusal(log.runs.putBatch([{ ...event, thread_id: 'good' }, event]));
  t.deepEqual([batch.code, batch.outcome], ['STORAGE_FAILED', 'not-committed']);
  t.false(existsSync(dirname(dirname(runFile(dir, 'good', 'r')))));
  t.is((await log.runs.put({ ...event, thread_id: 'good' })).seq, 1);
  await rm(join(dir, 'threads', 'bad'));
  t.is((await log.runs.put(event)).seq, 1);
  t.is(await daemon.stop(), 0);
});

testWith(['root', 'chattr'], 'a file that is immutable', async (t) => {
  const first = await started(t);
  await first.log.turns.append('bad', { event: 'submitted' });
  t.is(await first.daemon.stop(), 0);
  const path = sessionFile(first.dir, 'bad');
  await run('chattr', ['+i', path]);
  t.teardown(() => run('chattr', ['-i', path]).catch(() => undefined));
  const daemon = await startDaemonProcess(t, { dir: first.dir });
  const log = await client(t, first.dir);
  t.is((await log.turns.read('bad')).events.length, 1);
  await hurtsOne(t, { dir: first.dir, log }, () => run('chattr', ['-i', path]));
  t.is(await daemon.stop(), 0);
});

testWith(['root', 'setpriv'], 'a file without permission', async (t) => {
  const dir = join(await makeFolder(t), 'd');
  const path = sessionFile(dir, 'bad');
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, '{"event":"submitted"}\n');
  // Another's file; and a root that permissions bind, as they bind everybody else.
  await chown(path, NOBODY, NOBODY);
  const through = ['setpriv', '--bounding-set=-dac_override,-dac_read_search', '--'];
  // It can be read but not written, then neither.
  await chmod(path, 0o644);
  const daemon = await startDaemonProcess(t, { dir, through });
  const log = await client(t, dir);
  t.is((await log.turns.read('bad')).events.length, 1);
  await hurtsOne(t, { dir, log }, () => chmod(path, 0o666));
  t.is(await daemon.stop(), 0);

  await chmod(path, 0o600);
  const again = await startDaemonProcess(t, { dir, through });
  const reader = await client(t, dir);
  const unread = await refusal(reader.turns.read('bad'));
  t.is(unread.code, 'STORAGE_FAILED');
  t.is((await reader.turns.read('other')).events.length, 2);
  await chmod(path, 0o666);
  t.is((await reader.turns.read('bad')).events.length, 2);
  t.is(await again.stop(), 0);
});
