/** The log is durable but a journal file has no room: the state files-behind and its end. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { EventLog } from '../../client/index.js';
import { type DaemonProcess, startDaemonProcess } from '../support/daemon.js';
import {
  client,
  eventually,
  fillUp,
  healthOf,
  limitFileSize,
  linesOf,
  makeRoom,
  refusal,
  runFile,
  sessionFile,
  smallDisk,
  testWith,
  whenThereIsRoom,
} from '../support/faults.js';

const MIB = 1024 * 1024;
/** What writing meets where nobody measures beforehand: another program may fill the disk in an instant. */
const ARGS = ['--segment-bytes', '256k', '--disk-reserve-bytes', '0'];
/** Two such lines fill a segment, so that a restart, which cuts it, makes no room for a third. */
const LINE = 'x'.repeat(110_000);

interface Behind {
  readonly dir: string;
  readonly daemon: DaemonProcess;
  readonly log: EventLog;
  readonly filler: string;
}

/** A daemon on a full disk, with one event of `s` in its file and the second on its way. */
async function behind(t: ExecutionContext): Promise<Behind> {
  const disk = await smallDisk(t, 4 * MIB);
  const dir = join(disk, 'd');
  const daemon = await startDaemonProcess(t, { dir, args: ARGS });
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'submitted', content: LINE });
  await log.turns.append('other', { event: 'submitted', content: 'other' });
  const filler = await fillUp(disk);
  const event = await log.turns.append('s', { event: 'delta', content: LINE });
  t.is(event.seq, 2);
  t.is((await log.stats()).health, 'files-behind');
  return { dir, daemon, log, filler };
}

async function seqsRead(log: EventLog, sessionId: string): Promise<number[]> {
  return (await log.turns.read(sessionId)).events.map(({ seq }) => seq);
}

testWith(['root', 'mount'], 'the append is acknowledged, the line follows', async (t) => {
  const { dir, daemon, log, filler } = await behind(t);
  t.is((await linesOf(sessionFile(dir, 's'))).length, 1);
  const page = await log.turns.read('s');
  t.deepEqual(
    page.events.map(({ seq }) => seq),
    [1, 2],
  );
  t.is(page.events[1]?.['content'], LINE);
  t.deepEqual(page.malformed, []);
  t.is((await log.turns.read('s', { afterSeq: 1, limit: 1 })).events[0]?.seq, 2);
  t.deepEqual((await log.turns.head('s')).seq, 2);
  t.is((await log.turns.pending({ sessionId: 's' })).length, 2);
  t.is(Object.keys((await log.turns.states('s')).states).length, 2);

  for (const refused of [
    await refusal(log.turns.append('s', { event: 'delta' })),
    await refusal(log.turns.append('other', { event: 'delta' })),
    await refusal(log.runs.put({ thread_id: 't', run_id: 'r', event_type: 'e', category: 'c' })),
  ]) {
    t.deepEqual([refused.code, refused.outcome], ['STORAGE_FULL', 'not-committed']);
    t.regex(refused.message, /files-behind/);
  }
  t.deepEqual(await seqsRead(log, 'other'), [1]);

  await makeRoom(filler);
  await healthOf(log, 'ok');
  const lines = await linesOf(sessionFile(dir, 's'));
  t.is(lines.length, 2);
  t.deepEqual(JSON.parse(lines[1] as string), page.events[1]);
  t.is((await log.turns.append('s', { event: 'delta' })).seq, 3);
  t.deepEqual(await seqsRead(log, 's'), [1, 2, 3]);
  t.is(await daemon.stop(), 0);
});

testWith(['root', 'mount'], 'a retry with the same key returns what is on its way', async (t) => {
  const disk = await smallDisk(t, 4 * MIB);
  const dir = join(disk, 'd');
  await startDaemonProcess(t, { dir, args: ARGS });
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'submitted' });
  const filler = await fillUp(disk);
  const append = (): Promise<unknown> =>
    log.turns.append('s', { event: 'delta', content: LINE }, { idempotencyKey: 'k' });
  const first = await append();
  await makeRoom(filler);
  const again = await whenThereIsRoom(append);
  t.deepEqual(again, first);
  t.deepEqual(await seqsRead(log, 's'), [1, 2]);
});

testWith(['root', 'mount'], 'a batch over several files without room is whole', async (t) => {
  const disk = await smallDisk(t, 4 * MIB);
  const dir = join(disk, 'd');
  await startDaemonProcess(t, { dir, args: ARGS });
  const log = await client(t, dir);
  const filler = await fillUp(disk);
  const events = await log.runs.putBatch(
    ['a', 'b', 'a'].map((run, at) => ({
      thread_id: `t${at % 2}`,
      run_id: run,
      event_type: 'e',
      category: 'message',
      content: LINE.slice(0, 9_000),
    })),
  );
  t.deepEqual(
    events.map(({ seq }) => seq),
    [1, 1, 2],
  );
  t.is((await log.stats()).health, 'files-behind');
  t.is((await log.runs.listMessages('t0')).length, 2);
  t.is((await log.runs.listMessages('t1')).length, 1);
  t.deepEqual(await log.runs.threadIds(), ['t0', 't1']);
  await makeRoom(filler);
  await healthOf(log, 'ok');
  t.is((await linesOf(runFile(dir, 't0', 'a'))).length, 2);
  t.is((await linesOf(runFile(dir, 't1', 'b'))).length, 1);
});

testWith(['root', 'mount'], 'deleting the stream ends the state', async (t) => {
  const { dir, daemon, log, filler } = await behind(t);
  t.is(await log.turns.delete('s'), 2);
  await healthOf(log, 'ok');
  t.deepEqual(await seqsRead(log, 's'), []);
  t.deepEqual(await log.turns.sessionIds(), ['other']);
  await makeRoom(filler);
  const next = await whenThereIsRoom(() => log.turns.append('s', { event: 'submitted' }));
  t.is(next.seq, 1);
  t.is((await linesOf(sessionFile(dir, 's'))).length, 1);
  t.is(await daemon.stop(), 0);
});

testWith(
  ['root', 'mount'],
  'kill -9 while lines are on their way, no room at restart',
  async (t) => {
    const { dir, daemon, filler } = await behind(t);
    await daemon.kill('SIGKILL');
    const again = await startDaemonProcess(t, { dir, args: ARGS });
    const log = await client(t, dir);
    t.is((await log.stats()).health, 'files-behind');
    const page = await log.turns.read('s');
    t.deepEqual(
      page.events.map(({ seq }) => seq),
      [1, 2],
    );
    t.is(page.events[1]?.['content'], LINE);
    t.deepEqual(await seqsRead(log, 'other'), [1]);
    const refused = await refusal(log.turns.append('other', { event: 'delta' }));
    t.deepEqual([refused.code, refused.outcome], ['STORAGE_FULL', 'not-committed']);
    await makeRoom(filler);
    await healthOf(log, 'ok');
    t.is((await linesOf(sessionFile(dir, 's'))).length, 2);
    t.is((await log.turns.append('s', { event: 'delta' })).seq, 3);
    t.is(await again.stop(), 0);
  },
);

testWith(['root', 'mount'], 'kill -9 while lines are on their way, room at restart', async (t) => {
  const { dir, daemon, filler } = await behind(t);
  await daemon.kill('SIGKILL');
  await makeRoom(filler);
  const again = await startDaemonProcess(t, { dir, args: ARGS });
  const log = await client(t, dir);
  t.is((await log.stats()).health, 'ok');
  t.deepEqual(await seqsRead(log, 's'), [1, 2]);
  t.is((await linesOf(sessionFile(dir, 's'))).length, 2);
  t.is((await log.turns.append('s', { event: 'delta' })).seq, 3);
  t.is(await again.stop(), 0);
});

testWith(['root', 'mount'], 'killed and started without room again and again', async (t) => {
  const { dir, daemon, filler } = await behind(t);
  await daemon.kill('SIGKILL');
  for (let round = 0; round < 3; round += 1) {
    const again = await startDaemonProcess(t, { dir, args: ARGS });
    const log = await client(t, dir);
    t.deepEqual(await seqsRead(log, 's'), [1, 2]);
    t.is((await log.stats()).health, 'files-behind');
    if (round === 1) t.is(await again.stop(), 74);
    else await again.kill('SIGKILL');
    await log.close();
  }
  await makeRoom(filler);
  await startDaemonProcess(t, { dir, args: ARGS });
  const log = await client(t, dir);
  t.deepEqual(await seqsRead(log, 's'), [1, 2]);
  t.deepEqual(await seqsRead(log, 'other'), [1]);
  t.is((await linesOf(sessionFile(dir, 's'))).length, 2);
});

testWith(['root', 'mount'], 'a deletion on the full disk after a restart makes room', async (t) => {
  const disk = await smallDisk(t, 8 * MIB);
  const dir = join(disk, 'd');
  const daemon = await startDaemonProcess(t, { dir, args: ARGS });
  const before = await client(t, dir);
  for (let at = 0; at < 11; at += 1) {
    await before.turns.append('big', { event: 'delta', content: LINE });
  }
  await before.turns.append('s', { event: 'submitted' });
  await fillUp(disk);
  t.is((await before.turns.append('s', { event: 'delta', content: LINE })).seq, 2);
  await daemon.kill('SIGKILL');
  const again = await startDaemonProcess(t, { dir, args: ARGS });
  const log = await client(t, dir);
  t.is((await log.stats()).health, 'files-behind');
  t.is(await log.turns.delete('big'), 11);
  await healthOf(log, 'ok');
  t.is((await log.turns.append('s', { event: 'delta' })).seq, 3);
  t.is((await linesOf(sessionFile(dir, 's'))).length, 3);
  t.is(await again.stop(), 0);
});

testWith(['root', 'mount'], 'SIGTERM while lines are on their way exits 74', async (t) => {
  const { dir, daemon, filler } = await behind(t);
  t.is(await daemon.stop(), 74);
  t.regex(daemon.output(), /commit log/);
  await makeRoom(filler);
  const again = await startDaemonProcess(t, { dir, args: ARGS });
  const log = await client(t, dir);
  t.deepEqual(await seqsRead(log, 's'), [1, 2]);
  t.is((await linesOf(sessionFile(dir, 's'))).length, 2);
  t.is(await again.stop(), 0);
});

testWith(
  ['root', 'mount'],
  'a line that another program adds meanwhile is no obstacle',
  async (t) => {
    const { dir, daemon, log, filler } = await behind(t);
    // The last page of the file has room for a short line.
    await writeFile(sessionFile(dir, 's'), '{"event":"foreign","session_id":"s"}\n', { flag: 'a' });
    t.deepEqual(await seqsRead(log, 's'), [1, 2]);
    await makeRoom(filler);
    await healthOf(log, 'ok');
    const events = await eventually(
      async () => (await log.turns.read('s')).events,
      ({ length }) => length === 3,
    );
    t.deepEqual(
      events.map(({ event }) => event),
      ['submitted', 'delta', 'foreign'],
    );
    t.deepEqual(
      events.map(({ seq }) => seq),
      [1, 2, 3],
    );
    t.is(events.find(({ event }) => event === 'delta')?.seq, 2);
    t.is(await daemon.stop(), 0);
  },
);

testWith(
  ['root', 'prlimit'],
  'EFBIG on a journal file: that state, until the limit is raised',
  async (t) => {
    const daemon = await startDaemonProcess(t, { args: ARGS });
    const { dir } = daemon;
    const log = await client(t, dir);
    // The journal file grows past the limit, which no segment of the log ever does.
    for (let at = 0; at < 4; at += 1) {
      await log.turns.append('s', { event: 'delta', content: 'x'.repeat(100_000) });
    }
    await limitFileSize(daemon.process.pid as number, 450_000);
    t.is((await log.turns.append('s', { event: 'delta', content: 'y'.repeat(100_000) })).seq, 5);
    t.is((await log.stats()).health, 'files-behind');
    // The short write left nothing in the file.
    t.is((await linesOf(sessionFile(dir, 's'))).length, 4);
    t.deepEqual(await seqsRead(log, 's'), [1, 2, 3, 4, 5]);
    const refused = await refusal(log.turns.append('other', { event: 'submitted' }));
    t.deepEqual([refused.code, refused.outcome], ['STORAGE_FULL', 'not-committed']);
    await limitFileSize(daemon.process.pid as number, null);
    await healthOf(log, 'ok');
    t.is((await linesOf(sessionFile(dir, 's'))).length, 5);
    t.is((await log.turns.append('s', { event: 'delta' })).seq, 6);
    t.is(await daemon.stop(), 0);
  },
);

testWith(
  ['root', 'mount'],
  'a batch of which one file had room: no line is there twice',
  async (t) => {
    const disk = await smallDisk(t, 4 * MIB);
    const dir = join(disk, 'd');
    const daemon = await startDaemonProcess(t, { dir, args: ARGS });
    const before = await client(t, dir);
    const event = { thread_id: 't', event_type: 'e', category: 'message' };
    await before.turns.append('pad', { event: 'delta', content: LINE });
    await before.runs.put({ ...event, run_id: 'b' });
    const filler = await fillUp(disk);
    await before.runs.putBatch([
      { ...event, run_id: 'a', content: LINE },
      { ...event, run_id: 'b', content: 'second' },
    ]);
    t.is((await before.stats()).health, 'files-behind');
    t.is((await linesOf(runFile(dir, 't', 'b'))).length, 2);
    t.deepEqual(await linesOf(runFile(dir, 't', 'a')), []);
    t.is(await daemon.stop(), 74);
    const again = await startDaemonProcess(t, { dir, args: ARGS });
    const log = await client(t, dir);
    t.is((await log.stats()).health, 'files-behind');
    const read = async (): Promise<unknown[]> =>
      (await log.runs.listMessages('t')).map(({ seq, run_id: run }) => [seq, run]);
    const all = [
      [1, 'b'],
      [2, 'a'],
      [3, 'b'],
    ];
    t.deepEqual(await read(), all);
    t.is((await log.runs.listEvents('t', 'a'))[0]?.content, LINE);
    await makeRoom(filler);
    await healthOf(log, 'ok');
    t.deepEqual(await read(), all);
    t.is((await linesOf(runFile(dir, 't', 'b'))).length, 2);
    t.is((await linesOf(runFile(dir, 't', 'a'))).length, 1);
    t.is((await log.runs.put({ ...event, run_id: 'a' })).seq, 4);
    t.is(await again.stop(), 0);
  },
);

testWith(['root', 'mount'], 'a foreign line meanwhile, and kill -9 without room', async (t) => {
  const { dir, daemon, filler } = await behind(t);
  const foreign = '{"event":"completed","session_id":"s","turn_id":"f"}\n';
  await writeFile(sessionFile(dir, 's'), foreign, { flag: 'a' });
  await daemon.kill('SIGKILL');
  const again = await startDaemonProcess(t, { dir, args: ARGS });
  const log = await client(t, dir);
  t.is((await log.stats()).health, 'files-behind');
  const seen = async (): Promise<unknown[]> =>
    (await log.turns.read('s')).events.map(({ seq, event }) => [seq, event]);
  const all = [
    [1, 'submitted'],
    [2, 'delta'],
    [3, 'completed'],
  ];
  t.deepEqual(await seen(), all);
  t.is((await log.turns.pending({ sessionId: 's' })).length, 2);
  await makeRoom(filler);
  await healthOf(log, 'ok');
  t.deepEqual(await seen(), all);
  t.is((await linesOf(sessionFile(dir, 's'))).length, 3);
  t.is((await log.turns.append('s', { event: 'delta' })).seq, 4);
  t.is(await again.stop(), 0);
});
