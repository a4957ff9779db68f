/** The commit log has no room: appends are refused loudly, and go on by themselves. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder, startDaemonProcess } from '../support/daemon.js';
import {
  client,
  fillUp,
  healthOf,
  limitFileSize,
  linesOf,
  makeRoom,
  mountSmall,
  refusal,
  runFile,
  sessionFile,
  smallDisk,
  testWith,
  whenThereIsRoom,
} from '../support/faults.js';

const MIB = 1024 * 1024;
const BIG = 'x'.repeat(60_000);
/** What writing meets where nobody measures beforehand: another program may fill the disk in an instant. */
const ARGS = ['--segment-bytes', '256k', '--disk-reserve-bytes', '0'];

/** The seqs that the lines of a file have. */
function seqs(lines: readonly string[]): unknown[] {
  return lines.map((line) => (JSON.parse(line) as { seq: unknown }).seq);
}

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, at) => at + 1);
}

/** Makes the next append, and the next, until one is refused. */
async function untilRefused(
  first: number,
  append: (count: number) => Promise<unknown>,
): Promise<{ readonly last: number; readonly refused: Awaited<ReturnType<typeof refusal>> }> {
  for (let last = first; ; last += 1) {
    const refused = await refusal(append(last));
    if (refused.code !== 'ANSWERED') return { last, refused };
  }
}

testWith(['root', 'mount'], 'ENOSPC on the log, room made beside the daemon', async (t) => {
  const dir = join(await makeFolder(t), 'd');
  const disk = await mountSmall(t, join(dir, '.eventlogd', 'commitlog'), 2 * MIB);
  const daemon = await startDaemonProcess(t, { dir, args: ARGS });
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'submitted', content: 'first' });
  const filler = await fillUp(disk);
  const big = await untilRefused(1, () => log.turns.append('s', { event: 'delta', content: BIG }));
  t.is(big.refused.code, 'STORAGE_FULL');
  // What is smaller may still have room, down to what is kept for deletions.
  const { last, refused } = await untilRefused(big.last, () =>
    log.turns.append('s', { event: 'delta', content: 'small' }),
  );
  t.is(refused.code, 'STORAGE_FULL');
  t.is(refused.outcome, 'not-committed');
  t.regex(refused.message, /no room/);
  await healthOf(log, 'log-full');

  const small = await refusal(log.turns.append('s', { event: 'delta', content: 'small' }));
  t.deepEqual([small.code, small.outcome], ['STORAGE_FULL', 'not-committed']);
  const created = await refusal(
    log.runs.put({ thread_id: 'new', run_id: 'r', event_type: 'e', category: 'c' }),
  );
  t.deepEqual([created.code, created.outcome], ['STORAGE_FULL', 'not-committed']);
  t.deepEqual(seqs(await linesOf(sessionFile(dir, 's'))), upTo(last));
  t.deepEqual(await linesOf(runFile(dir, 'new', 'r')), []);
  await t.throwsAsync(stat(join(dir, 'threads', 'new')), { code: 'ENOENT' });
  t.is((await log.turns.read('s')).events.length, last);
  t.is((await log.turns.head('s')).seq, last);
  t.deepEqual(await log.runs.threadIds(), []);

  await makeRoom(filler);
  const next = await whenThereIsRoom(() =>
    log.turns.append('s', { event: 'delta', content: 'on' }),
  );
  t.is(next.seq, last + 1);
  await healthOf(log, 'ok');
  t.deepEqual(seqs(await linesOf(sessionFile(dir, 's'))), upTo(last + 1));
  t.is(await daemon.stop(), 0);
});

testWith(['root', 'mount'], 'ENOSPC on the log, room made by deleting', async (t) => {
  const dir = join(await makeFolder(t), 'd');
  await mountSmall(t, join(dir, '.eventlogd', 'commitlog'), MIB);
  const daemon = await startDaemonProcess(t, {
    dir,
    args: [...ARGS, '--log-retention-bytes', '0'],
  });
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'submitted' });
  const { last, refused } = await untilRefused(0, () =>
    log.turns.append('big', { event: 'delta', content: BIG }),
  );
  t.deepEqual([refused.code, refused.outcome], ['STORAGE_FULL', 'not-committed']);
  await healthOf(log, 'log-full');
  t.is(await log.turns.delete('big'), last);
  const next = await whenThereIsRoom(() => log.turns.append('s', { event: 'delta' }));
  t.is(next.seq, 2);
  await healthOf(log, 'ok');
  t.deepEqual(await log.turns.sessionIds(), ['s']);
  t.is(await daemon.stop(), 0);
});

for (const journal of ['turns', 'runs'] as const) {
  testWith(
    ['root', 'mount'],
    `a full disk is emptied through the daemon: ${journal}`,
    async (t) => {
      const dir = join(await smallDisk(t, 6 * MIB), 'd');
      const daemon = await startDaemonProcess(t, { dir, args: ARGS });
      const log = await client(t, dir);
      const run = { thread_id: 'big', run_id: 'r', event_type: 'e', category: 'message' };
      await log.turns.append('s', { event: 'submitted' });
      for (let at = 0; at < 20; at += 1) {
        if (journal === 'turns') await log.turns.append('big', { event: 'delta', content: BIG });
        else await log.runs.put({ ...run, content: BIG });
      }
      await fillUp(join(dir, '..'));
      const { last, refused } = await untilRefused(1, () =>
        log.turns.append('s', { event: 'delta', content: BIG }),
      );
      t.deepEqual([refused.code, refused.outcome], ['STORAGE_FULL', 'not-committed']);
      t.is((await log.turns.read('s')).events.length, last);
      t.not((await log.stats()).health, 'ok');
      const deleted =
        journal === 'turns' ? log.turns.delete('big') : log.runs.deleteByThread('big');
      t.is(await deleted, 20);
      const next = await whenThereIsRoom(() => log.turns.append('s', { event: 'delta' }));
      t.is(next.seq, last + 1);
      await healthOf(log, 'ok');
      t.deepEqual(seqs(await linesOf(sessionFile(dir, 's'))), upTo(last + 1));
      t.deepEqual(await log.turns.sessionIds(), ['s']);
      t.deepEqual(await log.runs.threadIds(), []);
      t.is(await daemon.stop(), 0);
    },
  );
}

testWith(['root', 'prlimit'], 'EFBIG on the log, the limit raised', async (t) => {
  const daemon = await startDaemonProcess(t, { args: ['--segment-bytes', '2m'] });
  const log = await client(t, daemon.dir);
  await log.turns.append('s', { event: 'submitted' });
  await limitFileSize(daemon.process.pid as number, MIB);
  // Many sessions, so that the log is what meets the limit.
  const { last, refused } = await untilRefused(1, (count) =>
    log.turns.append(`s${count}`, { event: 'delta', content: BIG }),
  );
  t.deepEqual([refused.code, refused.outcome], ['STORAGE_FULL', 'not-committed']);
  t.regex(refused.message, /EFBIG|file too large/i);
  await healthOf(log, 'log-full');
  t.deepEqual(await linesOf(sessionFile(daemon.dir, `s${last}`)), []);
  t.is((await log.turns.read('s1')).events.length, 1);
  await limitFileSize(daemon.process.pid as number, null);
  const next = await whenThereIsRoom(() => log.turns.append(`s${last}`, { event: 'delta' }));
  t.is(next.seq, 1);
  await healthOf(log, 'ok');
  t.is((await log.turns.append('s', { event: 'delta' })).seq, 2);
  t.is(await daemon.stop(), 0);
});

testWith(
  ['root', 'prlimit'],
  'EFBIG on the log that stays: a smaller segment follows',
  async (t) => {
    const daemon = await startDaemonProcess(t, { args: ['--segment-bytes', '2m'] });
    const log = await client(t, daemon.dir);
    await limitFileSize(daemon.process.pid as number, MIB);
    const { last, refused } = await untilRefused(1, (count) =>
      log.turns.append(`s${count}`, { event: 'delta', content: BIG }),
    );
    t.is(refused.code, 'STORAGE_FULL');
    t.is(await log.turns.delete('s1'), 1);
    const next = await whenThereIsRoom(() => log.turns.append('s2', { event: 'delta' }));
    t.is(next.seq, 2);
    await healthOf(log, 'ok');
    t.is(await daemon.stop(), 0);
    const again = await startDaemonProcess(t, { dir: daemon.dir });
    const reader = await client(t, again.dir);
    t.is((await reader.turns.read('s2')).events.length, 2);
    t.is((await reader.turns.sessionIds()).length, last - 2);
  },
);
