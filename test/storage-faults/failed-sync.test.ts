/** A failed fsync: nobody can say what is durable, so nothing more is acknowledged. */
import { readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { EventLog } from '../../client/index.js';
import { connect } from '../../client/index.js';
import { startDaemonProcess } from '../support/daemon.js';
import { PATHS } from '../support/fault-shim/named-points.js';
import {
  client,
  eventually,
  healthOf,
  injectFault,
  linesOf,
  refusal,
  runFile,
  sessionFile,
  testWith,
  whenThereIsRoom,
} from '../support/faults.js';
import { served, servedUnderShim } from '../support/served.js';

async function seqsRead(log: EventLog, sessionId: string): Promise<number[]> {
  return (await log.turns.read(sessionId)).events.map(({ seq }) => seq);
}

for (const code of ['EIO', 'ENOSPC']) {
  testWith(['strace'], `fdatasync of the log fails with ${code}`, async (t) => {
    const { daemon, dir, log } = await served(t);
    const other = await connect({ dir, timeoutMs: 2_000 });
    t.teardown(() => other.close());
    for (let seq = 1; seq <= 3; seq += 1) await log.turns.append('s', { event: 'delta' });
    const { lift } = await injectFault(t, daemon.process.pid as number, `fdatasync:error=${code}`);
    const appends = [
      ...Array.from({ length: 20 }, () => log.turns.append('s', { event: 'delta' })),
      log.runs.put({ thread_id: 't', run_id: 'r', event_type: 'e', category: 'c' }),
      other.turns.append('s', { event: 'delta' }),
    ];
    const refused = await Promise.all(appends.map(refusal));
    // What was sealed is unknown; what was not yet, because it came later, was not committed.
    for (const { code: name } of refused) {
      t.true(['STORAGE_FAILED', 'DRAINING', 'DISCONNECTED', 'TIMEOUT'].includes(name), name);
    }
    t.deepEqual([refused[0]?.code, refused[0]?.outcome], ['STORAGE_FAILED', 'unknown']);
    const unknown = refused.filter(({ outcome }) => outcome === 'unknown').length;
    t.is(await daemon.ended, 74);
    t.regex(daemon.output(), new RegExp(code));
    await lift();
    const again = await startDaemonProcess(t, { dir });
    const reader = await client(t, dir);
    const seqs = await seqsRead(reader, 's');
    t.deepEqual(seqs.slice(0, 3), [1, 2, 3]);
    t.true(seqs.length <= 3 + unknown);
    t.deepEqual(
      seqs,
      seqs.map((_, at) => at + 1),
    );
    t.is((await linesOf(sessionFile(dir, 's'))).length, seqs.length);
    const next = await reader.turns.append('s', { event: 'delta' });
    t.is(next.seq, seqs.length + 1);
    t.is(await again.stop(), 0);
  });
}

testWith(['strace'], 'fsync of the last checkpoint fails: the drain exits 74', async (t) => {
  const { daemon, dir, log } = await served(t);
  await log.turns.append('s', { event: 'submitted' });
  await log.runs.put({ thread_id: 't', run_id: 'r', event_type: 'e', category: 'c' });
  await injectFault(t, daemon.process.pid as number, 'fsync:error=EIO');
  t.is(await daemon.stop(), 74);
  t.regex(daemon.output(), /EIO/);
  const again = await startDaemonProcess(t, { dir });
  const reader = await client(t, dir);
  t.deepEqual(await seqsRead(reader, 's'), [1]);
  t.is((await linesOf(runFile(dir, 't', 'r'))).length, 1);
  t.is((await reader.turns.append('s', { event: 'delta' })).seq, 2);
  t.is(await again.stop(), 0);
});

testWith(['strace'], 'fsync of a deletion fails: its outcome is unknown', async (t) => {
  const { daemon, dir, log } = await served(t);
  await log.turns.append('s', { event: 'submitted' });
  await log.turns.append('kept', { event: 'submitted' });
  await injectFault(t, daemon.process.pid as number, 'fsync:error=EIO');
  const refused = await refusal(log.turns.delete('s'));
  t.deepEqual([refused.code, refused.outcome], ['STORAGE_FAILED', 'unknown']);
  t.is(await daemon.ended, 74);
  const again = await startDaemonProcess(t, { dir });
  const reader = await client(t, dir);
  // It was durable in the log: recovery carries it out.
  t.deepEqual(await reader.turns.sessionIds(), ['kept']);
  t.is(await again.stop(), 0);
});

testWith(
  ['strace'],
  'a write to the log fails with EIO: refused, and taken up again',
  async (t) => {
    const { daemon, dir, log } = await served(t);
    await log.turns.append('s', { event: 'submitted' });
    // Journal files are appended to by another call, the log is written by position.
    const { lift } = await injectFault(t, daemon.process.pid as number, 'pwrite64:error=EIO');
    const refused = await refusal(log.turns.append('s', { event: 'delta' }));
    t.deepEqual([refused.code, refused.outcome], ['STORAGE_FAILED', 'not-committed']);
    await healthOf(log, 'log-full');
    t.is((await linesOf(sessionFile(dir, 's'))).length, 1);
    t.deepEqual(await seqsRead(log, 's'), [1]);
    await lift();
    t.is((await whenThereIsRoom(() => log.turns.append('s', { event: 'delta' }))).seq, 2);
    await healthOf(log, 'ok');
    t.is(await daemon.stop(), 0);
  },
);

testWith(['strace'], 'a write to a journal file fails with EIO: as a failed sync', async (t) => {
  const { daemon, dir, log } = await served(t);
  await log.turns.append('s', { event: 'submitted' });
  const path = sessionFile(dir, 's');
  await injectFault(t, daemon.process.pid as number, 'write:error=EIO', path);
  const refused = await refusal(log.turns.append('s', { event: 'delta' }));
  t.deepEqual([refused.code, refused.outcome], ['STORAGE_FAILED', 'unknown']);
  t.is(await daemon.ended, 74);
  const again = await startDaemonProcess(t, { dir });
  const reader = await client(t, dir);
  // The frame was durable, so recovery finishes what was begun.
  t.deepEqual(await seqsRead(reader, 's'), [1, 2]);
  t.is((await linesOf(path)).length, 2);
  t.is(await again.stop(), 0);
});

/** The paths of the files that a process has open. */
function openFilesOf(pid: number): string[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((fd) => {
    try {
      return [readlinkSync(join(folder, fd))];
    } catch {
      return [];
    }
  });
}

testWith(
  ['fault shim'],
  'a sync fails while a checkpoint runs: it exits 74 when that has ended, and begins no other',
  async (t) => {
    const { daemon, log, shim } = await servedUnderShim(t);
    await log.turns.append('s', { event: 'submitted' });
    await log.turns.append('gone', { event: 'submitted' });
    const held = { calls: ['fsync'], paths: PATHS.journal, effect: { kind: 'hold' } } as const;
    shim.set([held]);
    // A deletion is followed by a checkpoint.
    await log.turns.delete('gone');
    await eventually(
      async () => shim.hits()[0],
      (hits) => hits === 1,
    );
    // What the checkpoint that runs does not cover calls for another one.
    await log.turns.append('s', { event: 'delta' });
    const failed = { kind: 'error', code: 'EIO' } as const;
    shim.set([held, { calls: ['fdatasync'], paths: PATHS.log, effect: failed }]);
    t.is((await refusal(log.turns.append('s', { event: 'delta' }))).outcome, 'unknown');
    // Everything that is not under way is closed.
    await eventually(
      async () => openFilesOf(daemon.process.pid as number),
      (paths) => !paths.some((path) => path.includes('/commitlog/')),
    );
    shim.clear();
    t.is(await daemon.ended, 74);
    t.notRegex(daemon.output(), /the lane is closed/);
  },
);

testWith(
  ['fault shim'],
  'a sync of a deletion fails while others read the stream: they are told, and it exits 74',
  async (t) => {
    const { daemon, log, shim } = await servedUnderShim(t);
    await log.turns.append('s', { event: 'submitted' });
    const trash = { calls: ['fsync'], paths: ['*/.eventlogd/trash/*'] } as const;
    shim.set([{ ...trash, effect: { kind: 'hold' } }]);
    const deleting = refusal(log.turns.delete('s'));
    await eventually(
      async () => shim.hits()[0],
      (hits) => hits === 1,
    );
    const reading = refusal(log.turns.read('s'));
    // Calls are taken in their order.
    await log.stats();
    shim.set([{ ...trash, effect: { kind: 'error', code: 'EIO' } }]);
    t.is((await deleting).outcome, 'unknown');
    t.is((await reading).code, 'STORAGE_FAILED');
    t.is(await daemon.ended, 74);
  },
);
