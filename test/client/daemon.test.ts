/** The client against a real daemon, real files and real sockets. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import {
  connect,
  detailsOf,
  type EventLog,
  IdempotencyKeyReusedError,
  InvalidIdError,
  type NewRunEvent,
  type NewTurnEvent,
  type RunEvent,
  SequenceConflictError,
  TimeoutError,
  type TurnEvent,
  TurnTerminalError,
} from '../../client/index.js';
import { parseJson } from '../../shared/json-parse.js';
import { watch } from '../support/connected.js';
import { type DaemonProcess, startDaemonProcess } from '../support/daemon.js';
import { eventually } from '../support/faults.js';
import { jsonValues } from '../support/json-values.js';

interface Served {
  readonly daemon: DaemonProcess;
  readonly log: EventLog;
}

async function served(t: ExecutionContext, args: readonly string[] = []): Promise<Served> {
  const daemon = await startDaemonProcess(t, { args });
  const log = await connect({ dir: daemon.dir });
  t.teardown(() => log.close());
  return { daemon, log };
}

async function turnLines(dir: string, sessionId: string): Promise<string[]> {
  return lines(await readFile(join(dir, '_turn_journal', `${sessionId}.jsonl`), 'utf8'));
}

async function runLines(dir: string, threadId: string, runId: string): Promise<string[]> {
  return lines(await readFile(join(dir, 'threads', threadId, 'runs', `${runId}.jsonl`), 'utf8'));
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

/** The record, its keys' order and its text are those of the line on disk. */
function sameAsLine(
  t: ExecutionContext,
  event: TurnEvent | RunEvent,
  line: string | undefined,
): void {
  t.is(detailsOf(event).text, line ?? '');
  const parsed = parseJson(line ?? '');
  t.deepEqual(event as unknown, parsed);
  t.deepEqual(Object.keys(event), Object.keys(parsed as object));
}

const RUN: NewRunEvent = {
  thread_id: 't1',
  run_id: 'r1',
  event_type: 'run.start',
  category: 'trace',
};

test('records of appended turns equal their lines, whatever JSON they hold', async (t) => {
  const { daemon, log } = await served(t);
  const key = fc
    .string({ unit: 'binary' })
    .filter((text) => text !== 'seq' && text !== 'session_id');
  const value = fc.oneof(jsonValues(), fc.bigInt(), fc.constant(undefined));
  let count = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(key, value, { noNullPrototype: true }),
      fc.constantFrom('turn', 'stream'),
      async (more, how) => {
        const event = { ...more, event: 'e' } as NewTurnEvent;
        const appended =
          how === 'turn'
            ? await log.turns.append('s1', event)
            : await log.turns.appendForStream('s1', 'x', event);
        count += 1;
        const onDisk = await turnLines(daemon.dir, 's1');
        t.is(onDisk.length, count);
        sameAsLine(t, appended, onDisk.at(-1));
      },
    ),
    { numRuns: 60 },
  );
  const { events, malformed } = await log.turns.read('s1');
  t.deepEqual(malformed, []);
  const onDisk = await turnLines(daemon.dir, 's1');
  t.is(events.length, count);
  for (const [index, event] of events.entries()) {
    t.is(event.seq, index + 1);
    sameAsLine(t, event, onDisk[index]);
  }
});

test('records of put events equal their lines, whatever JSON they hold', async (t) => {
  const { daemon, log } = await served(t);
  const value = fc.oneof(jsonValues(), fc.bigInt());
  let count = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.record(
        {
          content: value,
          metadata: fc.dictionary(fc.string(), value),
          created_at: fc.string({ minLength: 1 }),
        },
        { requiredKeys: [], noNullPrototype: true },
      ),
      async (more) => {
        const event = await log.runs.put({ ...more, ...RUN } as NewRunEvent);
        count += 1;
        sameAsLine(t, event, (await runLines(daemon.dir, 't1', 'r1')).at(-1));
      },
    ),
    { numRuns: 60 },
  );
  const events = await log.runs.listEvents('t1', 'r1', { limit: count + 1 });
  t.is(events.length, count);
  const onDisk = await runLines(daemon.dir, 't1', 'r1');
  for (const [index, event] of events.entries()) sameAsLine(t, event, onDisk[index]);
});

test('a batch over runs and threads: records in input order, each in its file', async (t) => {
  const { daemon, log } = await served(t);
  const events = await log.runs.putBatch([
    { ...RUN, content: 1 },
    { ...RUN, thread_id: 't2', content: 2 },
    { ...RUN, run_id: 'r2', content: 3 },
    { ...RUN, content: 4 },
  ]);
  t.deepEqual(
    events.map(({ thread_id, run_id, seq, content }) => [thread_id, run_id, seq, content]),
    [
      ['t1', 'r1', 1, 1],
      ['t2', 'r1', 1, 2],
      ['t1', 'r2', 2, 3],
      ['t1', 'r1', 3, 4],
    ],
  );
  const [one, two, three, four] = events as [RunEvent, RunEvent, RunEvent, RunEvent];
  const r1 = await runLines(daemon.dir, 't1', 'r1');
  sameAsLine(t, one, r1[0]);
  sameAsLine(t, four, r1[1]);
  sameAsLine(t, two, (await runLines(daemon.dir, 't2', 'r1'))[0]);
  sameAsLine(t, three, (await runLines(daemon.dir, 't1', 'r2'))[0]);
  const positions = events.map((event) => detailsOf(event).position ?? 0);
  t.deepEqual(
    positions,
    [...positions].sort((a, b) => a - b),
  );
  t.deepEqual(await log.runs.head('t1'), detailsOf(four).cursor);
  t.deepEqual(await log.runs.threadIds(), ['t1', 't2']);
});

test('putIfAbsent is created once, by whomever', async (t) => {
  const { daemon, log } = await served(t);
  const other = await connect({ socketPath: daemon.socketPath });
  t.teardown(() => other.close());
  const tries = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      (index % 2 === 0 ? log : other).runs.putIfAbsent({ ...RUN, content: index }),
    ),
  );
  t.is(tries.filter(({ created }) => created).length, 1);
  const [line] = await runLines(daemon.dir, 't1', 'r1');
  for (const { event } of tries) sameAsLine(t, event, line);
  t.true((await log.runs.putIfAbsent({ ...RUN, event_type: 'run.end' })).created);
});

test('conditions: expectedSeq, unlessTerminal, idempotency keys', async (t) => {
  const { log } = await served(t);
  const first = await log.turns.append('s1', { event: 'submitted' }, { expectedSeq: 0 });
  const conflict = await t.throwsAsync(
    log.turns.append('s1', { event: 'submitted' }, { expectedSeq: 0 }),
    { instanceOf: SequenceConflictError },
  );
  t.is(conflict?.actualSeq, 1);

  const ended = { event: 'completed', turn_id: first.turn_id };
  const completed = await log.turns.append('s1', ended, { unlessTerminal: true });
  const terminal = await t.throwsAsync(log.turns.append('s1', ended, { unlessTerminal: true }), {
    instanceOf: TurnTerminalError,
  });
  t.deepEqual(terminal?.event, completed as object);

  const key = { idempotencyKey: 'k' };
  const once = await log.turns.append('s1', { event: 'note' }, key);
  const twice = await log.turns.append('s1', { event: 'note' }, key);
  t.deepEqual(twice, once);
  t.true(detailsOf(twice).duplicate);
  t.is(detailsOf(twice).text, detailsOf(once).text);
  t.deepEqual(detailsOf(twice).cursor, detailsOf(once).cursor);
  await t.throwsAsync(log.turns.append('s1', { event: 'other' }, key), {
    instanceOf: IdempotencyKeyReusedError,
  });
  t.is((await log.turns.head('s1')).seq, 3);
  await t.throwsAsync(log.turns.append('x'.repeat(201), { event: 'e' }), {
    instanceOf: InvalidIdError,
  });
  t.is((await log.turns.read('x'.repeat(201))).events.length, 0);
});

test('a stream finds its turn; states, collisions and pending follow', async (t) => {
  const { log } = await served(t);
  const submitted = await log.turns.append('s1', { event: 'submitted', stream_id: 'x' });
  const started = await log.turns.appendForStream('s1', 'x', {
    event: 'worker_started',
    turn_id: '',
  });
  t.is(started.turn_id, submitted.turn_id);
  t.is(started.stream_id, 'x');
  const other = await log.turns.appendForStream('s1', 'y', { event: 'submitted' });
  t.not(other.turn_id, submitted.turn_id);
  const odd = await log.turns.append('s1', { event: 'submitted', turn_id: '__proto__' });

  t.deepEqual(await log.turns.pending({ sessionId: 's1' }), [
    { sessionId: 's1', turnId: submitted.turn_id as string, submitted, latest: started },
    { sessionId: 's1', turnId: other.turn_id as string, submitted: other, latest: other },
    { sessionId: 's1', turnId: '__proto__', submitted: odd, latest: odd },
  ]);
  const one = await log.turns.appendForStream('s1', 'x', { event: 'completed' });
  const two = await log.turns.appendForStream('s1', 'x', { event: 'interrupted' });
  const { states, collisions } = await log.turns.states('s1');
  t.deepEqual(
    Object.keys(states).sort(),
    [String(submitted.turn_id), String(other.turn_id), '__proto__'].sort(),
  );
  t.deepEqual(states[String(submitted.turn_id)], two);
  t.deepEqual(states['__proto__'], odd);
  t.deepEqual(collisions, [{ turnId: submitted.turn_id as string, events: [one, two] }]);
  t.is((await log.turns.pending()).length, 2);
});

test('what does not exist reads empty, and a deleted stream begins again at seq 1', async (t) => {
  const { log } = await served(t);
  t.deepEqual(await log.turns.read('s1'), {
    sessionId: 's1',
    generation: 0,
    events: [],
    malformed: [],
  });
  t.deepEqual(await log.turns.head('s1'), { generation: 0, seq: 0 });
  t.deepEqual(await log.turns.states('s1'), {
    states: Object.create(null) as Record<string, TurnEvent>,
    collisions: [],
  });
  t.deepEqual(await log.turns.pending(), []);
  t.deepEqual(await log.turns.sessionIds(), []);
  t.is(await log.turns.delete('s1'), 0);
  t.deepEqual(await log.runs.listMessages('t1'), []);
  t.is(await log.runs.countMessages('t1'), 0);
  t.is(await log.runs.deleteByRun('t1', 'r1'), 0);

  const before = await log.turns.append('s1', { event: 'a' });
  await log.turns.append('s1', { event: 'b' });
  t.is(await log.turns.delete('s1'), 2);
  const after = await log.turns.append('s1', { event: 'c' });
  t.is(after.seq, 1);
  t.true(detailsOf(after).cursor.generation > detailsOf(before).cursor.generation);
  t.is((await log.turns.read('s1')).generation, detailsOf(after).cursor.generation);
});

test('an event of many megabytes comes back whole', async (t) => {
  const { daemon, log } = await served(t);
  const content = 'é"\\\u2028'.repeat(700_000);
  const event = await log.runs.put({ ...RUN, category: 'message', content });
  t.is(event.content, content);
  await log.runs.put({ ...RUN, category: 'message', content: 'small' });
  const [large, small] = await log.runs.listMessages('t1');
  t.is(large?.content, content);
  t.is(small?.content, 'small');
  t.is(detailsOf(large as RunEvent).text, (await runLines(daemon.dir, 't1', 'r1'))[0] as string);
});

test('many calls at once keep their order per stream', async (t) => {
  const { log } = await served(t);
  const appends = Array.from({ length: 2_000 }, (_, index) =>
    log.turns.append(`s${index % 5}`, { event: 'e', index }),
  );
  const events = await Promise.all(appends);
  for (const [index, event] of events.entries()) t.is(event.seq, Math.floor(index / 5) + 1);
  const { events: read } = await log.turns.read('s3', { afterSeq: 10, limit: 3 });
  t.deepEqual(
    read.map((event) => event['index']),
    [53, 58, 63],
  );
  const { appends: counted, fsyncs } = await log.stats();
  t.is(counted, 2_000);
  t.true(fsyncs.log < 500);
});

test('stats say when the last checkpoint was', async (t) => {
  const { log } = await served(t);
  t.is((await log.stats())['lastCheckpoint'], null);
  const before = Date.now();
  await log.turns.append('s1', { event: 'e' });
  // A deletion is followed by a checkpoint.
  await log.turns.delete('s1');
  const stats = await eventually(
    () => log.stats(),
    ({ checkpoints }) => checkpoints === 1,
  );
  const { began, ended } = stats['lastCheckpoint'] as { began: number; ended: number };
  t.true(before <= began && began <= ended && ended <= Date.now());
});

test('a daemon that is stopped and started again is invisible', async (t) => {
  const { daemon, log } = await served(t);
  await log.turns.append('s1', { event: 'a' });
  t.is(await daemon.stop(), 0);
  const waiting = log.turns.append('s1', { event: 'b' });
  const reading = log.turns.read('s1');
  const again = await startDaemonProcess(t, { dir: daemon.dir });
  t.is((await waiting).seq, 2);
  t.true((await reading).events.length >= 1);
  t.is(again.dir, daemon.dir);
});

test('kill -9 under load: no call fails, and each append is there once', async (t) => {
  const { daemon, log } = await served(t);
  const told: { readonly index: number; readonly seq: number }[] = [];
  let index = 0;
  const append = async (): Promise<void> => {
    const mine = index;
    index += 1;
    const { seq } = await log.turns.append('s1', { event: 'e', index: mine });
    told.push({ index: mine, seq });
  };
  const pump = async (until: () => boolean): Promise<void> => {
    while (!until()) await append();
  };
  let isBack = false;
  const pumps = Array.from({ length: 16 }, () => pump(() => isBack && told.length > 300));
  while (told.length < 100) await new Promise((resolve) => setImmediate(resolve));
  await daemon.kill('SIGKILL');
  await startDaemonProcess(t, { dir: daemon.dir });
  isBack = true;
  await Promise.all(pumps);
  const { events } = await log.turns.read('s1');
  t.deepEqual(
    events.map(({ seq }) => seq),
    events.map((_, at) => at + 1),
  );
  const seqs = new Map(events.map((event) => [event['index'], event.seq]));
  t.is(seqs.size, events.length);
  t.is(told.length, events.length);
  for (const { index: at, seq } of told) t.is(seqs.get(at), seq);
});

test('close gives the daemon its connection back', async (t) => {
  const { daemon, log } = await served(t);
  const other = await connect({ socketPath: daemon.socketPath });
  t.is((await log.stats()).connections, 2);
  await other.close();
  // The daemon learns of it by the socket's end, in its own time.
  while ((await log.stats()).connections > 1);
  t.pass();
});

test('the client opens no journal file', async (t) => {
  const { daemon, log } = await served(t);
  await log.turns.append('s1', { event: 'a' });
  await log.turns.read('s1');
  const open = await readdir('/proc/self/fd').catch(() => null);
  if (open === null) {
    t.pass();
    return;
  }
  const { readlink } = await import('node:fs/promises');
  const links = await Promise.all(
    open.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  );
  t.deepEqual(
    links.filter((link) => link.startsWith(daemon.dir)),
    [],
  );
});

test('an append to a daemon that is gone for good is given up after timeoutMs', async (t) => {
  const { daemon, log } = await served(t);
  await daemon.stop();
  const error = await t.throwsAsync(
    watch(log.turns.append('s1', { event: 'a' }, { timeoutMs: 50 })),
    { instanceOf: TimeoutError },
  );
  t.is(error?.code, 'TIMEOUT');
  t.is(error?.outcome, 'not-committed');
});

test('checkpoints go on while the files that they sync are deleted', async (t) => {
  const { daemon, log } = await served(t);
  const sessions = Array.from({ length: 16 }, (_, at) => `s${at}`);
  await Promise.all(
    sessions.map(async (session) => {
      for (let round = 0; round < 25; round += 1) {
        t.is((await log.turns.append(session, { event: 'e' })).seq, 1);
        t.is(await log.turns.delete(session), 1);
        // Sockets take the numbers of the descriptors that were closed.
        await (await connect({ socketPath: daemon.socketPath })).close();
      }
    }),
  );
  t.is((await log.stats()).health, 'ok');
  t.is(await daemon.stop(), 0, daemon.output());
});
