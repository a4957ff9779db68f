/** What other programs do to the files of open streams, and what the daemon makes of it. */
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import type { EventLog } from '../../../client/index.js';
import { startDaemonProcess } from '../../support/daemon.js';
import { client, eventually, refusal, runFile, sessionFile } from '../../support/faults.js';
import { type Served, served } from '../../support/served.js';

function turn(content: string, more: object = {}): string {
  return `${JSON.stringify({ event: 'token', content, ...more })}\n`;
}

function runLine(run: string, seq: number, content: string): string {
  const names = { thread_id: 't', run_id: run, event_type: 'e', category: 'message' };
  return `${JSON.stringify({ ...names, content, metadata: {}, seq, created_at: '' })}\n`;
}

async function put(log: EventLog, run: string, content: string): Promise<number> {
  const names = { thread_id: 't', run_id: run, event_type: 'e', category: 'message' };
  return (await log.runs.put({ ...names, content })).seq;
}

async function turns(log: EventLog): Promise<unknown[]> {
  return (await log.turns.read('s')).events.map(({ seq, content }) => [seq, content]);
}

async function messages(log: EventLog): Promise<unknown[]> {
  return (await log.runs.listMessages('t')).map(({ seq, content }) => [seq, content]);
}

/** Waits until the daemon has given out so many positions, though no request touches a stream. */
async function position(log: EventLog, least: number): Promise<number> {
  const { position: last } = await eventually(
    async () => (await log.stats()) as unknown as { readonly position: number },
    (stats) => stats.position >= least,
  );
  return last;
}

async function restarted(t: ExecutionContext, { daemon, dir }: Served): Promise<Served> {
  await daemon.kill('SIGKILL');
  const again = await startDaemonProcess(t, { dir });
  return { daemon: again, dir, log: await client(t, dir) };
}

test("a line in a session's file is adopted though nobody asks", async (t) => {
  const all = await served(t);
  const { dir, log } = all;
  await log.turns.append('s', { event: 'token', content: 'own' });
  appendFileSync(sessionFile(dir, 's'), turn('foreign'));
  const began = Date.now();
  await position(log, 2);
  t.log(`after ${Date.now() - began} ms`);
  appendFileSync(sessionFile(dir, 's'), turn('foreign too'));
  await position(log, 3);
  const events = [
    [1, 'own'],
    [2, 'foreign'],
    [3, 'foreign too'],
  ];
  t.deepEqual(await turns(log), events);
  t.deepEqual(await turns((await restarted(t, all)).log), events);
});

test("a line in a run's file keeps its seq, and so does one in a new run's", async (t) => {
  const all = await served(t);
  const { dir, log } = all;
  await put(log, 'a', 'own');
  appendFileSync(runFile(dir, 't', 'a'), runLine('a', 5, 'foreign'));
  await position(log, 2);
  writeFileSync(runFile(dir, 't', 'b'), runLine('b', 7, 'of a new run'));
  await position(log, 3);
  t.is(await put(log, 'b', 'own too'), 8);
  const events = [
    [1, 'own'],
    [5, 'foreign'],
    [7, 'of a new run'],
    [8, 'own too'],
  ];
  t.deepEqual(await messages(log), events);
  const { log: later } = await restarted(t, all);
  t.deepEqual(await messages(later), events);
  t.is(await put(later, 'a', 'last'), 9);
});

test('foreign lines of several runs are taken in by seq', async (t) => {
  const { dir, log } = await served(t);
  await put(log, 'a', 'own');
  await put(log, 'b', 'own');
  for (let seq = 3; seq < 40; seq += 2) {
    appendFileSync(runFile(dir, 't', 'b'), runLine('b', seq, 'b'));
    appendFileSync(runFile(dir, 't', 'a'), runLine('a', seq + 1, 'a'));
  }
  const seqs = (await messages(log)).map((one) => (one as [number])[0]);
  t.deepEqual(
    seqs,
    Array.from({ length: 40 }, (_, at) => at + 1),
  );
  t.is(await put(log, 'a', 'last'), 41);
});

test('a run line whose seq is taken fences the thread, which is served all the same', async (t) => {
  const all = await served(t);
  const { dir, log } = all;
  await put(log, 'a', 'own');
  await put(log, 'a', 'own too');
  appendFileSync(runFile(dir, 't', 'a'), runLine('a', 2, 'clash'));
  const refused = await refusal(
    eventually(
      async () => await put(log, 'b', 'x'),
      () => false,
    ),
  );
  t.is(refused.code, 'STREAM_FENCED');
  t.regex(refused.message, /a\.jsonl holds a foreign event of seq 2/);
  const events = (await messages(log)).slice(0, 3);
  const { log: later } = await restarted(t, all);
  t.deepEqual((await messages(later)).slice(0, 3), events);
  t.is((await refusal(put(later, 'b', 'x'))).code, 'STREAM_FENCED');
});

test('a session line whose seq is taken fences the session', async (t) => {
  const { dir, log } = await served(t);
  await log.turns.append('s', { event: 'token', content: 'own' });
  appendFileSync(sessionFile(dir, 's'), turn('above', { seq: 4 }) + turn('clash', { seq: 4 }));
  t.deepEqual(await turns(log), [
    [1, 'own'],
    [4, 'above'],
    [4, 'clash'],
  ]);
  t.is((await refusal(log.turns.append('s', { event: 'token' }))).code, 'STREAM_FENCED');
});

test('a torn end waits for its rest, malformed and blank lines are no obstacle', async (t) => {
  const all = await served(t);
  const { dir, log } = all;
  await log.turns.append('s', { event: 'token', content: 'own' });
  const path = sessionFile(dir, 's');
  appendFileSync(path, `\nno json\n${turn('one')}{"event":"tok`);
  t.deepEqual(await turns(log), [
    [1, 'own'],
    [2, 'one'],
  ]);
  const damage = async (of: EventLog): Promise<unknown[]> =>
    (await of.turns.read('s')).malformed.map(({ line, raw }) => [line, raw]);
  t.deepEqual(await damage(log), [
    [3, 'no json'],
    [5, '{"event":"tok'],
  ]);
  appendFileSync(path, `en","content":"two"}\n${turn('three')}`);
  const events = [
    [1, 'own'],
    [2, 'one'],
    [3, 'two'],
    [4, 'three'],
  ];
  t.deepEqual(await turns(log), events);
  t.deepEqual(await damage(log), [[3, 'no json']]);
  // Nobody ends this one: it is fenced off by what follows.
  appendFileSync(path, '{"torn');
  await log.turns.append('s', { event: 'token', content: 'last' });
  t.deepEqual(await turns(log), [...events, [5, 'last']]);
  const malformed = [
    [3, 'no json'],
    [7, '{"torn'],
  ];
  t.deepEqual(await damage(log), malformed);
  const { log: later } = await restarted(t, all);
  t.deepEqual(await turns(later), [...events, [5, 'last']]);
  t.deepEqual(await damage(later), malformed);
});

test('a session whose file is removed has ended, and the next append begins another life', async (t) => {
  const all = await served(t);
  const { dir, log } = all;
  const { generation } = await log.turns
    .append('s', { event: 'token', content: 'own' })
    .then(() => log.turns.head('s'));
  const before = await position(log, 1);
  rmSync(sessionFile(dir, 's'));
  await position(log, before + 1);
  t.deepEqual(await log.turns.head('s'), { generation: 0, seq: 0 });
  t.is((await log.turns.append('s', { event: 'token', content: 'new' })).seq, 1);
  t.true((await log.turns.head('s')).generation > generation);
  rmSync(sessionFile(dir, 's'));
  // This append may be the first to meet that the file is gone.
  t.is((await log.turns.append('s', { event: 'token', content: 'newer' })).seq, 1);
  t.deepEqual(await turns(log), [[1, 'newer']]);
  t.deepEqual(await turns((await restarted(t, all)).log), [[1, 'newer']]);
});

test('a run whose file is removed is deleted, its thread goes on', async (t) => {
  const all = await served(t);
  const { dir, log } = all;
  await put(log, 'a', 'a');
  await put(log, 'b', 'b');
  await put(log, 'a', 'a');
  rmSync(runFile(dir, 't', 'a'));
  await position(log, 5);
  t.deepEqual(await messages(log), [[2, 'b']]);
  t.is(await put(log, 'a', 'new'), 4);
  const events = [
    [2, 'b'],
    [4, 'new'],
  ];
  t.deepEqual(await messages(log), events);
  t.deepEqual(await messages((await restarted(t, all)).log), events);
});

test('a thread whose folder is removed has ended', async (t) => {
  const { dir, log } = await served(t);
  await put(log, 'a', 'a');
  await put(log, 'b', 'b');
  rmSync(`${dir}/threads/t`, { recursive: true });
  await position(log, 3);
  t.deepEqual(await messages(log), []);
  t.deepEqual(await log.runs.head('t'), { generation: 0, seq: 0 });
  t.is(await put(log, 'a', 'new'), 1);
});

test('a file that was cut fences its stream', async (t) => {
  const { dir, log } = await served(t);
  await log.turns.append('s', { event: 'token', content: 'one' });
  const { size } = await log.turns
    .append('s', { event: 'token', content: 'two' })
    .then(() => ({ size: readFileSync(sessionFile(dir, 's')).indexOf('\n') + 1 }));
  truncateSync(sessionFile(dir, 's'), size);
  await position(log, 4);
  t.deepEqual(await turns(log), [[1, 'one']]);
  t.is((await refusal(log.turns.append('s', { event: 'token' }))).code, 'STREAM_FENCED');
});

test('another file in the place of a file fences its stream; a copy does not', async (t) => {
  const { dir, log } = await served(t);
  await log.turns.append('s', { event: 'token', content: 'one' });
  const path = sessionFile(dir, 's');
  writeFileSync(`${path}.copy`, readFileSync(path));
  renameSync(`${path}.copy`, path);
  t.is((await log.turns.append('s', { event: 'token', content: 'two' })).seq, 2);
  t.deepEqual(await turns(log), [
    [1, 'one'],
    [2, 'two'],
  ]);
  t.is(readFileSync(path, 'utf8').trim().split('\n').length, 2);
  writeFileSync(`${path}.other`, turn('other').repeat(9));
  renameSync(`${path}.other`, path);
  t.is((await refusal(log.turns.append('s', { event: 'token' }))).code, 'STREAM_FENCED');
});

test('a session that another program begins while it is open is met by the next read', async (t) => {
  const { dir, log } = await served(t);
  t.deepEqual(await turns(log), []);
  mkdirSync(`${dir}/_turn_journal`, { recursive: true });
  appendFileSync(sessionFile(dir, 's'), turn('first'));
  t.deepEqual(await turns(log), [[1, 'first']]);
  t.is((await log.turns.append('s', { event: 'token', content: 'own' })).seq, 2);
});

test('the folders are removed and made again, and what is in them is still watched', async (t) => {
  const { dir, log } = await served(t);
  await log.turns.append('s', { event: 'token', content: 'own' });
  await put(log, 'a', 'a');
  rmSync(`${dir}/_turn_journal`, { recursive: true });
  rmSync(`${dir}/threads`, { recursive: true });
  const ended = await position(log, 4);
  t.is((await log.turns.append('s', { event: 'token', content: 'new' })).seq, 1);
  t.is(await put(log, 'a', 'new'), 1);
  appendFileSync(sessionFile(dir, 's'), turn('foreign'));
  appendFileSync(runFile(dir, 't', 'a'), runLine('a', 2, 'foreign'));
  await position(log, ended + 4);
  t.deepEqual(await turns(log), [
    [1, 'new'],
    [2, 'foreign'],
  ]);
  t.deepEqual(await messages(log), [
    [1, 'new'],
    [2, 'foreign'],
  ]);
});
