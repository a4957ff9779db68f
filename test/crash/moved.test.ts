/** Directories that were copied, moved or thinned out while no daemon ran. */
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { connect, type EventLog, type NewRunEvent } from '../../client/index.js';
import { makeFolder, startDaemonProcess } from '../support/daemon.js';
import { copyDirectory, readJournals } from '../support/journal-files.js';

type End = 'a clean stop' | 'kill -9';

function runEvent(threadId: string, runId: string, content: string): NewRunEvent {
  return { thread_id: threadId, run_id: runId, event_type: 'text', category: 'message', content };
}

async function append(log: EventLog, round: string): Promise<void> {
  await log.turns.append('s', { event: 'token', content: round });
  await log.runs.putBatch([
    runEvent('t', 'a', `${round} a`),
    runEvent('t', 'b', `${round} b`),
    runEvent('u', 'a', `${round} u`),
  ]);
}

/** A directory that a checkpoint knows, with events past it, whose daemon has ended. */
async function written(t: ExecutionContext, end: End): Promise<string> {
  const first = await startDaemonProcess(t);
  const { dir } = first;
  const before = await connect({ dir });
  await append(before, '1');
  await before.close();
  t.is(await first.stop(), 0);
  const second = await startDaemonProcess(t, { dir });
  const log = await connect({ dir });
  await append(log, '2');
  await log.close();
  await second.kill(end === 'kill -9' ? 'SIGKILL' : 'SIGTERM');
  return dir;
}

async function served(t: ExecutionContext, dir: string): Promise<EventLog> {
  await startDaemonProcess(t, { dir });
  const log = await connect({ dir });
  t.teardown(() => log.close());
  return log;
}

async function contents(log: EventLog, threadId: string): Promise<unknown[]> {
  return (await log.runs.listMessages(threadId)).map(({ seq, content }) => [seq, content]);
}

async function checkWhole(t: ExecutionContext, dir: string): Promise<void> {
  const log = await served(t, dir);
  const { events, generation } = await log.turns.read('s');
  t.deepEqual(
    events.map(({ seq, content }) => [seq, content]),
    [
      [1, '1'],
      [2, '2'],
    ],
  );
  const all = [
    [1, '1 a'],
    [2, '1 b'],
    [3, '2 a'],
    [4, '2 b'],
  ];
  t.deepEqual(await contents(log, 't'), all);
  await append(log, '3');
  t.deepEqual(await log.turns.head('s'), { generation, seq: 3 });
  t.deepEqual(await contents(log, 't'), [...all, [5, '3 a'], [6, '3 b']]);
}

for (const end of ['a clean stop', 'kill -9'] as const) {
  test(`a copy made after ${end} is served as it is, and so is the original`, async (t) => {
    const dir = await written(t, end);
    const copy = join(await makeFolder(t), 'copy');
    await copyDirectory(dir, copy);
    await checkWhole(t, copy);
    await checkWhole(t, dir);
  });

  test(`a directory moved after ${end} is served as it is`, async (t) => {
    const dir = await written(t, end);
    const moved = join(await makeFolder(t), 'elsewhere');
    await rename(dir, moved);
    await checkWhole(t, moved);
  });

  test(`a session's file removed after ${end} stays removed`, async (t) => {
    const dir = await written(t, end);
    const path = join(dir, '_turn_journal', 's.jsonl');
    await rm(path);
    const log = await served(t, dir);
    t.false(existsSync(path));
    t.deepEqual(await log.turns.sessionIds(), []);
    t.deepEqual((await log.turns.read('s')).events, []);
    t.deepEqual(await log.turns.head('s'), { generation: 0, seq: 0 });
    t.is((await log.turns.append('s', { event: 'submitted' })).seq, 1);
    t.is((await contents(log, 't')).length, 4);
  });

  test(`one run's file removed after ${end} stays removed, its seqs stay taken`, async (t) => {
    const dir = await written(t, end);
    const path = join(dir, 'threads', 't', 'runs', 'b.jsonl');
    await rm(path);
    const log = await served(t, dir);
    t.false(existsSync(path));
    t.deepEqual(await contents(log, 't'), [
      [1, '1 a'],
      [3, '2 a'],
    ]);
    t.is((await log.runs.put(runEvent('t', 'b', 'new'))).seq, 5);
  });

  test(`a thread removed after ${end} stays removed`, async (t) => {
    const dir = await written(t, end);
    await rm(join(dir, 'threads', 't'), { recursive: true });
    const log = await served(t, dir);
    t.deepEqual(await log.runs.threadIds(), ['u']);
    t.deepEqual(await contents(log, 't'), []);
    t.deepEqual(await log.runs.head('t'), { generation: 0, seq: 0 });
    t.is((await log.runs.put(runEvent('t', 'a', 'new'))).seq, 1);
    t.deepEqual(await contents(log, 'u'), [
      [1, '1 u'],
      [2, '2 u'],
    ]);
  });

  test(`without .eventlogd, removed after ${end}, everything is old content`, async (t) => {
    const dir = await written(t, end);
    const files = readJournals(dir);
    await rm(join(dir, '.eventlogd'), { recursive: true });
    const log = await served(t, dir);
    // The first touch is an append, which has to wait for what lies there to be taken in.
    t.is((await log.turns.append('s', { event: 'token' })).seq, 3);
    t.is((await log.runs.put(runEvent('t', 'c', 'new'))).seq, 5);
    t.is((await contents(log, 't')).length, 5);
    for (const [path, bytes] of files) {
      t.deepEqual(readJournals(dir).get(path)?.subarray(0, bytes.length), bytes, path);
    }
  });
}
