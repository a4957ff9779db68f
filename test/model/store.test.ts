/**
 * A model of the store: random operations through the real client against a real daemon process
 * that is stopped and killed in between; everything that can be read is compared with a few Maps.
 *
 * EVENTLOGD_MODEL_SEED repeats a run and shrinks what fails, EVENTLOGD_MODEL_RUNS makes more of them.
 */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import {
  connect,
  detailsOf,
  type EventLog,
  EventLogError,
  type NewRunEvent,
  type RunEvent,
  type TurnEvent,
} from '../../client/index.js';
import { TERMINAL_EVENTS } from '../../shared/events.js';
import { makeFolder, startDaemonProcess } from '../support/daemon.js';

const SESSIONS = ['s', 'S.2', 'toString'];
const THREADS = ['t', 'u'];
const RUNS = ['r1', 'r2', 'constructor'];
const RUN_COUNT = Number(process.env['EVENTLOGD_MODEL_RUNS'] ?? 3);
const SEED = Number(process.env['EVENTLOGD_MODEL_SEED'] ?? Date.now() % 2 ** 31);

type Command =
  | {
      readonly kind: 'append';
      readonly session: string;
      readonly turn: string;
      readonly event: string;
      readonly expected: 'none' | 'right' | 'wrong';
      readonly unlessTerminal: boolean;
      readonly key: number | null;
    }
  | {
      readonly kind: 'stream';
      readonly session: string;
      readonly stream: string;
      readonly event: string;
    }
  | {
      readonly kind: 'put';
      readonly events: readonly NewRunEvent[];
      readonly expected: 'none' | 'right' | 'wrong';
      readonly key: number | null;
    }
  | { readonly kind: 'absent'; readonly event: NewRunEvent }
  | { readonly kind: 'deleteSession'; readonly session: string }
  | { readonly kind: 'deleteThread'; readonly thread: string }
  | { readonly kind: 'deleteRun'; readonly thread: string; readonly run: string }
  | { readonly kind: 'restart'; readonly signal: 'SIGTERM' | 'SIGKILL' };

/** A stream in its current life. */
interface Life<Event> {
  generation: number;
  lastSeq: number;
  readonly events: Event[];
}

/** What a key was first used for, and the first event that came of it. */
interface KeyUse {
  readonly content: string;
  readonly first: TurnEvent | RunEvent;
}

interface Model {
  readonly sessions: Map<string, Life<TurnEvent>>;
  readonly threads: Map<string, Life<RunEvent>>;
  readonly keys: Map<string, KeyUse>;
  position: number;
}

function commands(): fc.Arbitrary<Command[]> {
  const session = fc.constantFrom(...SESSIONS);
  const thread = fc.constantFrom(...THREADS);
  const expected = fc.constantFrom(
    'none' as const,
    'none' as const,
    'right' as const,
    'wrong' as const,
  );
  const key = fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, fc.nat(3));
  const kind = fc.constantFrom('submitted', 'note', 'completed', 'interrupted');
  const run: fc.Arbitrary<NewRunEvent> = fc.record({
    thread_id: thread,
    run_id: fc.constantFrom(...RUNS),
    event_type: fc.constantFrom('start', 'end'),
    category: fc.constantFrom('message', 'trace'),
    content: fc.string({ unit: 'grapheme', maxLength: 10 }),
    metadata: fc.constantFrom({}, { task_id: 'k' }),
  });
  const one = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('append' as const),
        session,
        turn: fc.constantFrom('a', 'b', '__proto__'),
        event: kind,
        expected,
        unlessTerminal: fc.boolean(),
        key,
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('stream' as const),
        session,
        stream: fc.constantFrom('x', 'y'),
        event: kind,
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constant('put' as const),
        events: fc.array(run, { minLength: 1, maxLength: 4 }),
        expected,
        key,
      }),
    },
    { weight: 3, arbitrary: fc.record({ kind: fc.constant('absent' as const), event: run }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('deleteSession' as const), session }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('deleteThread' as const), thread }) },
    {
      weight: 2,
      arbitrary: fc.record({
        kind: fc.constant('deleteRun' as const),
        thread,
        run: fc.constantFrom(...RUNS),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('restart' as const),
        signal: fc.constantFrom('SIGTERM' as const, 'SIGKILL' as const),
      }),
    },
  );
  return fc.array(one, { minLength: 10, maxLength: 60, size: 'max' });
}

function lifeOf<Event>(lives: Map<string, Life<Event>>, id: string): Life<Event> {
  return lives.get(id) ?? { generation: 0, lastSeq: 0, events: [] };
}

function same(actual: unknown, expected: unknown, what: string): void {
  const [a, b] = [actual, expected].map((value) => JSON.stringify(value));
  if (a !== b) throw new Error(`${what}: got ${a}, not ${b}`);
}

/** The code with which a call is refused, or its value. */
async function outcome<T>(call: Promise<T>): Promise<{ value: T } | { code: string }> {
  try {
    return { value: await call };
  } catch (error) {
    if (error instanceof EventLogError) return { code: error.code };
    throw error;
  }
}

/** Takes an acknowledged event into the model and checks what was assigned to it. */
function take<Event extends TurnEvent | RunEvent>(
  model: Model,
  lives: Map<string, Life<Event>>,
  id: string,
  event: Event,
): void {
  const life = lifeOf(lives, id);
  const { cursor, position = 0, duplicate } = detailsOf(event);
  same(duplicate, false, 'duplicate');
  same(event.seq, life.lastSeq + 1, `seq in ${id}`);
  same(position > model.position, true, 'positions grow');
  same(
    cursor,
    { generation: life.generation === 0 ? position : life.generation, seq: event.seq },
    `cursor in ${id}`,
  );
  lives.set(id, {
    generation: cursor.generation,
    lastSeq: event.seq,
    events: [...life.events, event],
  });
  model.position = position;
}

function expectedSeq(
  expected: 'none' | 'right' | 'wrong',
  lastSeq: number,
): { expectedSeq?: number } {
  if (expected === 'none') return {};
  return { expectedSeq: expected === 'right' ? lastSeq : lastSeq + 1 };
}

function turnOf(event: TurnEvent): string {
  return String(event.turn_id).trim();
}

async function append(
  model: Model,
  log: EventLog,
  command: Extract<Command, { kind: 'append' }>,
): Promise<void> {
  const { session, turn, event, expected, unlessTerminal, key } = command;
  const life = lifeOf(model.sessions, session);
  const text = { event, turn_id: turn };
  const options = {
    ...expectedSeq(expected, life.lastSeq),
    unlessTerminal,
    ...(key === null ? {} : { idempotencyKey: `k${key}` }),
  };
  const result = await outcome(log.turns.append(session, text, options));
  const use = key === null ? undefined : model.keys.get(`${session} k${key}`);
  const content = JSON.stringify(text);
  if (use !== undefined) return sameUse(result, use, { content, life });
  if (expected === 'wrong') return same(result, { code: 'SEQUENCE_CONFLICT' }, 'append');
  const ended = life.events.some(
    (one) => turnOf(one) === turn && TERMINAL_EVENTS.has(String(one.event)),
  );
  if (unlessTerminal && ended) return same(result, { code: 'TURN_TERMINAL' }, 'append');
  if (!('value' in result)) throw new Error(`append: ${result.code}`);
  take(model, model.sessions, session, result.value);
  if (key !== null) model.keys.set(`${session} k${key}`, { content, first: result.value });
}

/** A key that was used before: its first result, or a refusal for other content. */
function sameUse(
  result: { value: TurnEvent | RunEvent } | { code: string },
  use: KeyUse,
  now: { readonly content: string; readonly life: Life<TurnEvent | RunEvent> },
): void {
  if (use.content !== now.content) return same(result, { code: 'IDEMPOTENCY_KEY_REUSED' }, 'key');
  if (!('value' in result)) throw new Error(`key: ${result.code}`);
  const { cursor, text } = detailsOf(use.first);
  // Deletions leave the key: what it was first used for is known, its text is gone.
  const isThere = now.life.events.includes(use.first);
  const { position: _, ...first } = detailsOf(result.value);
  same(first, { cursor, duplicate: true, text: isThere ? text : null }, 'the first result');
}

async function appendForStream(
  model: Model,
  log: EventLog,
  command: Extract<Command, { kind: 'stream' }>,
): Promise<void> {
  const { session, stream, event } = command;
  const latest = lifeOf(model.sessions, session).events.findLast((one) => one.stream_id === stream);
  const appended = await log.turns.appendForStream(session, stream, { event });
  same(appended.stream_id, stream, 'stream');
  if (latest !== undefined) same(appended.turn_id, latest.turn_id, 'the turn of the stream');
  else same(/^\d{8}T\d{6}Z-[0-9a-f]{12}$/.test(String(appended.turn_id)), true, 'a new turn');
  take(model, model.sessions, session, appended);
}

async function put(
  model: Model,
  log: EventLog,
  command: Extract<Command, { kind: 'put' }>,
): Promise<void> {
  const { events, expected, key } = command;
  const threads = [...new Set(events.map(({ thread_id }) => thread_id))];
  const first = threads[0] as string;
  const life = lifeOf(model.threads, first);
  const options = {
    ...expectedSeq(expected, life.lastSeq),
    ...(key === null ? {} : { idempotencyKey: `k${key}` }),
  };
  const result = await outcome(log.runs.putBatch(events, options));
  if (
    expected !== 'none' &&
    threads.length > 1 &&
    'code' in result &&
    result.code === 'INVALID_ARGUMENT'
  )
    return;
  const content = JSON.stringify(events);
  const use = key === null ? undefined : model.keys.get(`${first} k${key}`);
  if (use !== undefined) {
    return sameUse('value' in result ? { value: result.value[0] as RunEvent } : result, use, {
      content,
      life,
    });
  }
  if (expected === 'wrong') return same(result, { code: 'SEQUENCE_CONFLICT' }, 'put');
  if (!('value' in result)) throw new Error(`put: ${result.code}`);
  for (const event of result.value) take(model, model.threads, event.thread_id, event);
  same(
    result.value.map(({ content: one }) => one),
    events.map(({ content: one }) => one),
    'input order',
  );
  if (key !== null)
    model.keys.set(`${first} k${key}`, { content, first: result.value[0] as RunEvent });
}

async function putIfAbsent(model: Model, log: EventLog, event: NewRunEvent): Promise<void> {
  const life = lifeOf(model.threads, event.thread_id);
  const there = life.events.find(
    (one) => one.run_id === event.run_id && one.event_type === event.event_type,
  );
  const { event: found, created } = await log.runs.putIfAbsent(event);
  same(created, there === undefined, 'created');
  if (there === undefined) take(model, model.threads, event.thread_id, found);
  else same(detailsOf(found).text, detailsOf(there).text, 'what is there');
}

async function deleteRun(model: Model, log: EventLog, thread: string, run: string): Promise<void> {
  const life = lifeOf(model.threads, thread);
  const left = life.events.filter(({ run_id }) => run_id !== run);
  same(
    await log.runs.deleteByRun(thread, run),
    life.events.length - left.length,
    'deleted of the run',
  );
  // The life goes on without its last run, and no seq is given twice.
  if (life.generation !== 0) model.threads.set(thread, { ...life, events: left });
}

function texts(events: readonly (TurnEvent | RunEvent)[]): (string | null)[] {
  return events.map((event) => detailsOf(event).text);
}

/** Everything that can be read of a session. */
async function compareSession(model: Model, log: EventLog, id: string): Promise<void> {
  const { generation, lastSeq, events } = lifeOf(model.sessions, id);
  const page = await log.turns.read(id);
  same(texts(page.events), texts(events), `events of ${id}`);
  same([page.malformed, page.generation], [[], generation], `page of ${id}`);
  same(await log.turns.head(id), { generation, seq: lastSeq }, `head of ${id}`);
  const half = Math.floor(lastSeq / 2);
  const part = await log.turns.read(id, { afterSeq: half, limit: 2 });
  same(
    texts(part.events),
    texts(events.filter(({ seq }) => seq > half).slice(0, 2)),
    `page of ${id}`,
  );
  const turns = new Map<string, TurnEvent[]>();
  for (const event of events)
    turns.set(turnOf(event), [...(turns.get(turnOf(event)) ?? []), event]);
  const states = await log.turns.states(id);
  same(Object.keys(states.states).sort(), [...turns.keys()].sort(), `turns of ${id}`);
  const pending: object[] = [];
  for (const [turnId, own] of turns) {
    const latest = own.reduce((a, b) => (Number(b.created_at) >= Number(a.created_at) ? b : a));
    same(texts([states.states[turnId] as TurnEvent]), texts([latest]), `state of ${turnId}`);
    const terminals = own.filter(({ event }) => TERMINAL_EVENTS.has(String(event)));
    const collision = states.collisions.find((one) => one.turnId === turnId);
    same(
      texts(collision?.events ?? []),
      terminals.length > 1 ? texts(terminals) : [],
      `ends of ${turnId}`,
    );
    if (terminals.length > 0) continue;
    const submitted = own.find(({ event }) => event === 'submitted');
    pending.push([
      turnId,
      submitted === undefined ? null : detailsOf(submitted).text,
      detailsOf(latest).text,
    ]);
  }
  const open = await log.turns.pending({ sessionId: id });
  const shown = open.map(({ turnId, submitted, latest }) => [
    turnId,
    submitted === null ? null : detailsOf(submitted).text,
    detailsOf(latest).text,
  ]);
  same(shown, pending, `pending of ${id}`);
}

/** Everything that can be read of a thread. */
async function compareThread(model: Model, log: EventLog, id: string): Promise<void> {
  const { generation, lastSeq, events } = lifeOf(model.threads, id);
  same(await log.runs.head(id), { generation, seq: lastSeq }, `head of ${id}`);
  const messages = events.filter(({ category }) => category === 'message');
  same(
    texts(await log.runs.listMessages(id, { limit: 1_000 })),
    texts(messages),
    `messages of ${id}`,
  );
  same(await log.runs.countMessages(id), messages.length, `count of ${id}`);
  const middle = Math.floor(lastSeq / 2);
  const below = await log.runs.listMessages(id, { beforeSeq: middle, limit: 2 });
  same(texts(below), texts(messages.filter(({ seq }) => seq < middle).slice(-2)), `below in ${id}`);
  for (const run of RUNS) {
    const own = events.filter(({ run_id }) => run_id === run);
    same(texts(await log.runs.listEvents(id, run)), texts(own), `run ${run} of ${id}`);
    const ends = await log.runs.listEvents(id, run, {
      eventTypes: ['end'],
      taskId: 'k',
      afterSeq: middle,
      limit: 1,
    });
    const wanted = own.filter(
      ({ event_type, metadata, seq }) =>
        event_type === 'end' && metadata['task_id'] === 'k' && seq > middle,
    );
    same(texts(ends), texts(wanted.slice(0, 1)), `ends of ${run} of ${id}`);
    const last = await log.runs.listMessagesByRun(id, run, { limit: 2 });
    same(
      texts(last),
      texts(own.filter(({ category }) => category === 'message').slice(-2)),
      `last of ${run}`,
    );
  }
}

async function compare(model: Model, log: EventLog): Promise<void> {
  for (const id of SESSIONS) await compareSession(model, log, id);
  for (const id of THREADS) await compareThread(model, log, id);
  const withEvents = <Event>(lives: Map<string, Life<Event>>): string[] =>
    [...lives].flatMap(([id, { events }]) => (events.length === 0 ? [] : [id])).sort();
  same(await log.turns.sessionIds(), withEvents(model.sessions), 'sessions');
  same(await log.runs.threadIds(), withEvents(model.threads), 'threads');
}

/** Ends a life; returns the number of its events. */
function endLife<Event>(lives: Map<string, Life<Event>>, id: string): number {
  const count = lifeOf(lives, id).events.length;
  lives.delete(id);
  return count;
}

async function play(t: ExecutionContext, all: readonly Command[]): Promise<void> {
  const dir = join(await makeFolder(t), 'd');
  const model: Model = { sessions: new Map(), threads: new Map(), keys: new Map(), position: 0 };
  let daemon = await startDaemonProcess(t, { dir });
  const log = await connect({ dir });
  try {
    for (const command of all) {
      switch (command.kind) {
        case 'append':
          await append(model, log, command);
          break;
        case 'stream':
          await appendForStream(model, log, command);
          break;
        case 'put':
          await put(model, log, command);
          break;
        case 'absent':
          await putIfAbsent(model, log, command.event);
          break;
        case 'deleteSession':
          same(
            await log.turns.delete(command.session),
            endLife(model.sessions, command.session),
            'deleted',
          );
          break;
        case 'deleteThread':
          same(
            await log.runs.deleteByThread(command.thread),
            endLife(model.threads, command.thread),
            'deleted',
          );
          break;
        case 'deleteRun':
          await deleteRun(model, log, command.thread, command.run);
          break;
        case 'restart':
          same(await daemon.kill(command.signal), command.signal === 'SIGTERM' ? 0 : null, 'exit');
          daemon = await startDaemonProcess(t, { dir });
          break;
        default:
          command satisfies never;
      }
      await compare(model, log);
    }
    same(await daemon.kill('SIGKILL'), null, 'exit');
    daemon = await startDaemonProcess(t, { dir });
    await compare(model, log);
  } finally {
    await log.close();
    await daemon.kill('SIGKILL');
  }
}

test('the store does what the model does, restarts and kills included', async (t) => {
  t.timeout(300_000);
  t.log(`EVENTLOGD_MODEL_SEED=${SEED} EVENTLOGD_MODEL_RUNS=${RUN_COUNT}`);
  await fc.assert(
    fc.asyncProperty(commands(), async (all) => await play(t, all)),
    {
      seed: SEED,
      numRuns: RUN_COUNT,
      includeErrorInReport: true,
      endOnFailure: process.env['EVENTLOGD_MODEL_SEED'] === undefined,
    },
  );
  t.pass();
});
