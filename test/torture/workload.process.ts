/**
 * A client as a process that does all that clients do, several calls at a time, and writes each
 * request into its journal before it is sent and each answer when it came. Killed and started
 * again it asks once more for what was never answered and has an idempotency key.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type AppendOptions,
  connect,
  EventLogError,
  type TurnAppendOptions,
} from '../../client/index.js';
import { type Random, randomOf } from '../support/random.js';
import { rowOf, send } from './calls.js';
import type { HistoryRecord, Request, Wanted } from './history.js';
import { Journal } from './journal.js';
import { streams } from './streams.js';

/** What the process is told, as JSON in its first argument. */
export interface WorkloadPlan {
  /** Not in the directory: its disk may lose its power, and clients outlive that. */
  readonly socketPath: string;
  /** `w0` and so on. */
  readonly name: string;
  /** How often it was killed. */
  readonly incarnation: number;
  /** Its journal. */
  readonly journal: string;
  readonly seed: number;
  /** Calls in flight. */
  readonly window: number;
  /** The longest pause of each of them after an answer, in milliseconds. */
  readonly pauseMs: number;
  /** The largest padding of an event, in bytes. */
  readonly paddingMax: number;
}

const CALL_MS = 60_000;
const BATCH_MAX = 8;
const PADDING_OFTEN = 4_000;

const plan = JSON.parse(process.argv[2] ?? '') as WorkloadPlan;
const client = `${plan.name}.${plan.incarnation}`;
const random: Random = randomOf(plan.seed + plan.incarnation * 7919);
const before = recordsOf(plan.journal);
const journal = new Journal(plan.journal, client);
let isOver = false;
process.stdin.once('end', () => {
  isOver = true;
});
process.stdin.resume();

const log = await connect({ socketPath: plan.socketPath, timeoutMs: CALL_MS });

function recordsOf(path: string): HistoryRecord[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  // A kill may have cut the last line; what follows it would be lost with it.
  if (text !== '' && !text.endsWith('\n')) throw new Error('the journal ends within a line');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as HistoryRecord);
}

/** Appends; what has a key and came to nothing certain is asked for again. */
async function append(
  what: Pick<Request, 'operation' | 'events'> & Partial<Request>,
  options: AppendOptions = {},
): Promise<void> {
  const { key, expectedSeq, unlessTerminal } = what;
  const asked: TurnAppendOptions = {
    ...(key === undefined ? {} : { idempotencyKey: key }),
    ...(expectedSeq === undefined ? {} : { expectedSeq }),
    ...(unlessTerminal === undefined ? {} : { unlessTerminal }),
  };
  const { outcome } = await journal.ask(what, () => send(log, what, { ...asked, ...options }));
  if (outcome === 'unknown' && key !== undefined)
    await journal.ask(what, () => send(log, what, asked));
}

/** Now and then a call is given up early: then nobody knows, or it was never sent. */
function patience(): AppendOptions {
  const chance = random(100);
  if (chance < 3) return { timeoutMs: 1 + random(150) };
  if (chance < 5) return { signal: AbortSignal.timeout(random(20)) };
  return {};
}

function keyOf(id: string): { readonly key?: string } {
  return random(10) < 4 ? { key: `k ${id}` } : {};
}

function wanted(index: number, place: Pick<Wanted, 'stream' | 'run'>): Wanted {
  const padding = random(10) < 8 ? 0 : paddingOf(random(60));
  const id = `${client}-${journal.nextNumber}-${index}`;
  return { id, ...place, type: random(4) === 0 ? 'note' : 'token', padding };
}

/** Large events are rare. */
function paddingOf(chance: number): number {
  return random(chance === 0 ? plan.paddingMax : Math.min(plan.paddingMax, PADDING_OFTEN));
}

function someTurn(stream: string = streams.session(random)): Wanted {
  return wanted(0, { stream, run: null });
}

function someRun(index = 0, stream: string = streams.thread(random)): Wanted {
  return wanted(index, { stream, run: streams.run(random) });
}

async function appendTurn(): Promise<void> {
  const event = someTurn();
  await append({ operation: 'append', events: [event], ...keyOf(event.id) }, patience());
}

async function appendForStream(): Promise<void> {
  const event = { ...someTurn(), by: `x${random(5)}` };
  await append({ operation: 'append', events: [event], ...keyOf(event.id) }, patience());
}

/** Several clients try to end the same turns. */
async function endTurn(): Promise<void> {
  const turn = `turn-${Math.floor(journal.nextNumber / 40)}-${random(3)}`;
  const event = { ...someTurn('turns/s0'), type: 'completed', turn };
  await append({ operation: 'append', events: [event], unlessTerminal: true }, patience());
}

async function putRun(): Promise<void> {
  const event = someRun();
  await append({ operation: 'put', events: [event], ...keyOf(event.id) }, patience());
}

async function putBatch(): Promise<void> {
  const events = Array.from({ length: 2 + random(BATCH_MAX - 1) }, (_, index) => someRun(index));
  await append({ operation: 'put', events, ...keyOf(`${events[0]?.id}`) }, patience());
}

/** Several clients try to make the only event of a type in a run. */
async function putIfAbsent(): Promise<void> {
  const run = `once-${Math.floor(journal.nextNumber / 60)}-${random(4)}`;
  const event = { ...someRun(0, 'runs/t1'), type: 'once', run };
  await append({ operation: 'absent', events: [event], ...keyOf(event.id) }, patience());
}

async function appendExpecting(): Promise<void> {
  const stream = 'turns/s1';
  let expectedSeq: number;
  try {
    expectedSeq = (await log.turns.head('s1')).seq;
  } catch (error) {
    if (error instanceof EventLogError) return;
    throw error;
  }
  await append({ operation: 'append', events: [someTurn(stream)], expectedSeq });
}

/** What was acknowledged is there: a few events behind a place near the end. */
async function read(): Promise<void> {
  const stream = streams.session(random);
  const session = stream.slice('turns/'.length);
  const limit = 1 + random(20);
  let afterSeq = 0;
  try {
    const { seq } = await log.turns.head(session);
    afterSeq = Math.max(0, seq - random(limit * 2));
  } catch (error) {
    if (error instanceof EventLogError) return;
    throw error;
  }
  await journal.ask({ operation: 'read', events: [], stream, afterSeq, limit }, async () => {
    const page = await log.turns.read(session, { afterSeq, limit });
    return { rows: page.events.map(rowOf), generation: page.generation };
  });
}

async function deleteSome(): Promise<void> {
  const kind = random(4);
  if (kind === 0) {
    const request = { operation: 'delete', events: [], stream: 'turns/sd', run: null } as const;
    await journal.ask(request, async () => ({ count: await log.turns.delete('sd') }));
  } else if (kind === 1) {
    const request = { operation: 'delete', events: [], stream: 'runs/td', run: null } as const;
    await journal.ask(request, async () => ({ count: await log.runs.deleteByThread('td') }));
  } else {
    const run = streams.run(random);
    const request = { operation: 'delete', events: [], stream: 'runs/td', run } as const;
    await journal.ask(request, async () => ({ count: await log.runs.deleteByRun('td', run) }));
  }
}

const CALLS: readonly (readonly [weight: number, call: () => Promise<void>])[] = [
  [30, appendTurn],
  [10, appendForStream],
  [5, endTurn],
  [20, putRun],
  [15, putBatch],
  [8, putIfAbsent],
  [5, appendExpecting],
  [10, read],
  [1, deleteSome],
];
const WEIGHTS = CALLS.reduce((sum, [weight]) => sum + weight, 0);

function someCall(): () => Promise<void> {
  let left = random(WEIGHTS);
  for (const [weight, call] of CALLS) {
    left -= weight;
    if (left < 0) return call;
  }
  return appendTurn;
}

/** What earlier incarnations asked for with a key and were never told of. */
function unanswered(): Request[] {
  const told = new Set<string>();
  for (const record of before) {
    if (record.kind === 'answer' && record.outcome !== 'unknown')
      told.add(`${record.client} ${record.number}`);
  }
  const open = new Map<string, Request>();
  for (const record of before) {
    if (record.kind !== 'request' || record.key === undefined) continue;
    if (told.has(`${record.client} ${record.number}`)) open.delete(record.key);
    else open.set(record.key, record);
  }
  return [...open.values()];
}

async function work(): Promise<void> {
  while (!isOver) {
    await someCall()();
    await delay(random(plan.pauseMs));
  }
}

for (const { operation, events, key } of unanswered()) {
  await append({ operation, events, ...(key === undefined ? {} : { key }) });
}
await Promise.all(Array.from({ length: plan.window }, work));
await log.close();
process.stdin.destroy();
