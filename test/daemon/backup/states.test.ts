/** What a backup holds of a directory that is not just lines in files. */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { connect, detailsOf } from '../../../client/index.js';
import { requestBackup, restored } from '../../support/backup.js';
import { makeFolder, startDaemonProcess } from '../../support/daemon.js';
import { FaultShim } from '../../support/fault-shim/fault-shim.js';
import { client, healthOf, refusal, sessionFile, testWith } from '../../support/faults.js';

async function backupOf(t: ExecutionContext, dir: string): Promise<string> {
  const folder = join(await makeFolder(t), 'b');
  await (await requestBackup(dir, folder)).done;
  return folder;
}

testWith(['fault shim'], 'lines that had no room in their file come from the log', async (t) => {
  const shim = await FaultShim.make(await makeFolder(t));
  t.teardown(() => shim.close());
  const { dir } = await startDaemonProcess(t, { env: shim.env });
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'token', content: 'in the file' });
  const paths = [sessionFile(dir, 's')];
  shim.set([{ calls: ['write'], paths, effect: { kind: 'error', code: 'ENOSPC' } }]);
  await log.turns.append('s', { event: 'token', content: 'in the log' });
  await healthOf(log, 'files-behind');
  const folder = await backupOf(t, dir);
  t.is(readFileSync(sessionFile(folder, 's'), 'utf8').split('\n').length, 2);
  shim.clear();
  await healthOf(log, 'ok');
  const there = await restored(t, folder);
  t.deepEqual(there.get('turns/s'), ['1 in the file', '2 in the log']);
});

test('what nobody has read yet is in it, and what is kept in quarantine', async (t) => {
  const dir = join(await makeFolder(t), 'd');
  mkdirSync(join(dir, '_turn_journal'), { recursive: true });
  const line = (content: string): string => `${JSON.stringify({ event: 'token', content })}\n`;
  writeFileSync(sessionFile(dir, 'old'), line('old') + line('older'));
  writeFileSync(sessionFile(dir, 'old~1'), line('shard'));
  writeFileSync(join(dir, '_turn_journal', 'no id!.jsonl'), line('x'));
  writeFileSync(join(dir, 'mine'), 'mine');
  const { dir: same } = await startDaemonProcess(t, { dir });
  const kept = join('.eventlogd', 'quarantine', 's.jsonl-0-0123456789ab');
  writeFileSync(join(dir, kept), 'damaged');
  const folder = await backupOf(t, same);
  t.is(readFileSync(join(folder, kept), 'utf8'), 'damaged');
  for (const name of ['mine', join('_turn_journal', 'no id!.jsonl')])
    t.false(existsSync(join(folder, name)), name);
  await startDaemonProcess(t, { dir: folder });
  const log = await client(t, folder);
  t.is((await log.turns.read('old')).events.length, 3);
});

test('a thread whose folder is a link is in it like others', async (t) => {
  const event = { thread_id: 't', run_id: 'r', event_type: 'text', category: 'message' };
  const first = await startDaemonProcess(t);
  const { dir } = first;
  const writer = await connect({ dir });
  await writer.runs.put({ ...event, content: 'before' });
  await writer.close();
  await first.stop();
  const elsewhere = join(await makeFolder(t), 't');
  renameSync(join(dir, 'threads', 't'), elsewhere);
  symlinkSync(elsewhere, join(dir, 'threads', 't'));
  await startDaemonProcess(t, { dir });
  const log = await client(t, dir);
  await log.runs.put({ ...event, content: 'behind' });
  const there = await restored(t, await backupOf(t, dir));
  t.deepEqual(there.get('runs/t'), ['1 before', '2 behind']);
});

test('a fence, keys and positions are as they were', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await client(t, dir);
  for (const content of ['a', 'b']) await log.turns.append('cut', { event: 'token', content });
  const event = { event: 'token', content: 'once' };
  const first = await log.turns.append('s', event, { idempotencyKey: 'k' });
  truncateSync(sessionFile(dir, 'cut'), 10);
  const next = { event: 'token', content: 'c' };
  t.is((await refusal(log.turns.append('cut', next))).code, 'STREAM_FENCED');
  const folder = await backupOf(t, dir);
  await startDaemonProcess(t, { dir: folder });
  const there = await client(t, folder);
  t.is((await refusal(there.turns.append('cut', next))).code, 'STREAM_FENCED');
  const again = await there.turns.append('s', event, { idempotencyKey: 'k' });
  t.true(detailsOf(again).duplicate);
  t.deepEqual(detailsOf(again).cursor, detailsOf(first).cursor);
  const shown: unknown[] = [];
  for await (const entry of there.subscribeAll({ afterPosition: 0 })) {
    shown.push(entry.event?.['content']);
    if (entry.streamId === 's') break;
  }
  t.deepEqual(shown, ['a', 'b', 'once']);
});

test('a log of many segments, of which old ones go meanwhile', async (t) => {
  const args = ['--segment-bytes', '256k', '--log-retention-bytes', '512k'];
  const { dir } = await startDaemonProcess(t, { args });
  const log = await client(t, dir);
  const content = 'x'.repeat(20_000);
  const append = async (): Promise<void> => {
    await log.turns.append('s', { event: 'token', content });
  };
  for (let count = 0; count < 100; count += 1) await append();
  let isDone = false;
  const appending = (async () => {
    while (!isDone) await append();
  })();
  const folder = await backupOf(t, dir).finally(() => {
    isDone = true;
  });
  await appending;
  const there = await restored(t, folder);
  const events = there.get('turns/s') ?? [];
  t.true(events.length >= 100);
  t.is((await log.turns.head('s')).seq >= events.length, true);
});
