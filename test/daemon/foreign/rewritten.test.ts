/** Files of open streams that are written over, or are no files any more. */
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { detailsOf, type EventLog } from '../../../client/index.js';
import { startDaemonProcess } from '../../support/daemon.js';
import { client, eventually, refusal, runFile, sessionFile } from '../../support/faults.js';

interface Served {
  readonly dir: string;
  readonly path: string;
  readonly log: EventLog;
  readonly restart: () => Promise<void>;
}

/** A session with three events of which nobody holds the file in memory alone. */
async function served(t: ExecutionContext): Promise<Served> {
  let daemon = await startDaemonProcess(t);
  const { dir } = daemon;
  const log = await client(t, dir);
  for (const content of ['one', 'two', 'three']) {
    await log.turns.append('s', { event: 'token', content });
  }
  const restart = async (): Promise<void> => {
    await daemon.stop();
    daemon = await startDaemonProcess(t, { dir });
  };
  return { dir, path: sessionFile(dir, 's'), log, restart };
}

async function turns(log: EventLog): Promise<unknown[]> {
  return (await log.turns.read('s')).events.map(({ seq, content }) => [seq, content]);
}

function turn(content: string): string {
  return `${JSON.stringify({ event: 'token', content })}\n`;
}

test('a file that is edited in place and longer now fences its stream, and is served as it is', async (t) => {
  const { path, log } = await served(t);
  writeFileSync(path, readFileSync(path, 'utf8').replace('"one"', '"one and more"'));
  t.deepEqual(await turns(log), [
    [1, 'one and more'],
    [2, 'two'],
    [3, 'three'],
  ]);
  const { code, message } = await refusal(log.turns.append('s', { event: 'token' }));
  t.is(code, 'STREAM_FENCED');
  t.regex(message, /was cut or replaced by another program/);
});

test('lines that were written over by others of the same length in all are never taken for them', async (t) => {
  const { path, log } = await served(t);
  const { size } = statSync(path);
  const other = turn('x'.repeat(size - turn('').length));
  writeFileSync(path, other);
  t.is(statSync(path).size, size);
  const { events } = await log.turns.read('s');
  t.deepEqual(
    events.map((event) => detailsOf(event).text),
    [other.trimEnd()],
  );
  t.is((await refusal(log.turns.append('s', { event: 'token' }))).code, 'STREAM_FENCED');
});

test('a line that another one was glued to is fenced off: no line behind it changes its seq', async (t) => {
  const { path, log, restart } = await served(t);
  appendFileSync(path, turn('a').trimEnd());
  t.deepEqual((await turns(log)).at(-1), [4, 'a']);
  appendFileSync(path, turn('b'));
  const { events, malformed } = await log.turns.read('s');
  t.is(events.length, 3);
  t.deepEqual(
    malformed.map(({ line }) => line),
    [4],
  );
  t.is((await refusal(log.turns.append('s', { event: 'token' }))).code, 'STREAM_FENCED');
  await restart();
  t.is((await refusal(log.turns.append('s', { event: 'token' }))).code, 'STREAM_FENCED');
});

test('a last line without an LF may get white space and an LF', async (t) => {
  const { path, log, restart } = await served(t);
  appendFileSync(path, turn('a').trimEnd());
  t.deepEqual((await turns(log)).at(-1), [4, 'a']);
  appendFileSync(path, ' \r\n');
  t.deepEqual((await turns(log)).at(-1), [4, 'a']);
  t.is((await log.turns.append('s', { event: 'token', content: 'five' })).seq, 5);
  await restart();
  t.deepEqual((await turns(log)).slice(3), [
    [4, 'a'],
    [5, 'five'],
  ]);
});

test('numbered lines that are gone from a file whose end is as it was fence the stream', async (t) => {
  const { path, log, restart } = await served(t);
  appendFileSync(path, turn('a') + turn('b'));
  t.deepEqual((await turns(log)).slice(3), [
    [4, 'a'],
    [5, 'b'],
  ]);
  const text = readFileSync(path, 'utf8');
  await restart();
  writeFileSync(path, text.replace(turn('a'), turn('a').replace('{', '[')));
  await log.turns.read('s');
  const { code, message } = await refusal(log.turns.append('s', { event: 'token' }));
  t.is(code, 'STREAM_FENCED');
  t.regex(message, /no longer has all the lines that were numbered/);
});

test('a foreign seq that leaves none for what follows counts as none', async (t) => {
  const { path, log } = await served(t);
  const line = { event: 'token', content: 'last', seq: Number.MAX_SAFE_INTEGER };
  appendFileSync(path, `${JSON.stringify(line)}\n`);
  t.is((await log.turns.head('s')).seq, 4);
  t.is((await log.turns.append('s', { event: 'token' })).seq, 5);
});

for (const [what, replace] of [
  ['a pipe', (path: string) => execFileSync('mkfifo', [path])],
  ['a link to itself', (path: string) => symlinkSync(path, path)],
  ['a link to the file', (path: string) => symlinkSync(`${path}.aside`, path)],
  ['a folder', (path: string) => mkdirSync(path)],
] as const) {
  test(`${what} in the place of a file refuses its stream, and nobody else`, async (t) => {
    const { dir, path, log } = await served(t);
    const subscription = log.turns.subscribe('s', { after: 3 });
    await subscription.caughtUp();
    renameSync(path, `${path}.aside`);
    replace(path);
    for (const call of [log.turns.read('s'), log.turns.append('s', { event: 'token' })]) {
      const { code, outcome } = await refusal(call);
      t.deepEqual([code, outcome], ['STORAGE_FAILED', 'not-committed']);
    }
    t.is((await log.turns.append('other', { event: 'token' })).seq, 1);
    rmSync(path, { recursive: true });
    renameSync(`${path}.aside`, path);
    t.is((await log.turns.append('s', { event: 'token', content: 'four' })).seq, 4);
    const { value } = await subscription.next();
    t.is(value?.['content'], 'four');
    t.deepEqual(await log.turns.sessionIds(), ['other', 's']);
    t.true(statSync(sessionFile(dir, 'other')).isFile());
  });
}

test('a journal folder that is no folder any more refuses its streams and ends nothing', async (t) => {
  const { dir, log } = await served(t);
  const folder = join(dir, '_turn_journal');
  const subscription = log.turns.subscribe('s', { after: 3 });
  await subscription.caughtUp();
  renameSync(folder, `${folder}.aside`);
  writeFileSync(folder, '');
  const { code, outcome } = await refusal(
    eventually(
      () => log.turns.read('s'),
      () => false,
    ),
  );
  t.deepEqual([code, outcome], ['STORAGE_FAILED', 'not-committed']);
  rmSync(folder);
  renameSync(`${folder}.aside`, folder);
  t.is((await log.turns.append('s', { event: 'token', content: 'four' })).seq, 4);
  t.is((await subscription.next()).value?.['content'], 'four');
});

test('lines that appear in many old runs at once are all met, though reads look at the newest alone', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await client(t, dir);
  const runs = Array.from({ length: 300 }, (_, at) => `r${at + 100}`);
  const event = { thread_id: 't', event_type: 'e', category: 'c' };
  await log.runs.putBatch(runs.map((run_id) => ({ ...event, run_id })));
  const old = runs.slice(0, 30);
  for (const [at, run_id] of old.entries()) {
    const line = { ...event, run_id, content: '', metadata: {}, seq: 1_000 + at, created_at: '' };
    appendFileSync(runFile(dir, 't', run_id), `${JSON.stringify(line)}\n`);
  }
  const met = await eventually(
    async () => {
      const events = await Promise.all(old.map((run) => log.runs.listEvents('t', run)));
      return events.filter(({ length }) => length === 2).length;
    },
    (count) => count === old.length,
  );
  t.is(met, old.length);
});

test('an empty file that is removed again takes no event along', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await client(t, dir);
  const path = sessionFile(dir, 's');
  mkdirSync(dirname(path));
  writeFileSync(path, '');
  const refused = log.turns.append('s', { event: 'token' }, { expectedSeq: 5 });
  t.is((await refusal(refused)).code, 'SEQUENCE_CONFLICT');
  rmSync(path);
  await log.turns.append('s', { event: 'token', content: 'first' });
  t.true(existsSync(path));
  t.deepEqual(await turns(log), [[1, 'first']]);
});
