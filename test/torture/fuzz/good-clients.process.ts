/**
 * Honest clients that work while others are hostile: they append to one session and one thread,
 * read, and follow both, and find fault with whatever is not as it would be without the others.
 * They tell how it went in a line on standard output: at the end of standard input, or before that
 * where they have a finding.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { AbortedError, connect, type EventLog } from '../../../client/index.js';
import { randomOf } from '../../support/random.js';
import { PATIENCE_MS } from './finding.js';
import { GOOD_CONNECTIONS } from './good-clients.js';

/** What the process is told, as JSON in its first argument. */
export interface GoodPlan {
  readonly dir: string;
  readonly seed: number;
}

/** What it tells. */
export interface GoodReport {
  readonly finding: string | null;
  /** Events that were acknowledged, each in its place. */
  readonly appended: number;
  readonly reads: number;
  /** Events that subscriptions gave. */
  readonly followed: number;
  readonly slowestMs: number;
}

/** Events that are appended at once. */
const BURST = 4;
/** Leaves the processors to the others for a while: good clients are not the load here. */
const PAUSE_MS = 10;
const PAGE = 20;
const ID = 'good';

interface Held {
  readonly seq: number;
  readonly content?: unknown;
}

const plan = JSON.parse(process.argv[2] ?? '') as GoodPlan;
const random = randomOf(plan.seed);
const report = { appended: 0, reads: 0, followed: 0, slowestMs: 0 };
const logs = await Promise.all(
  Array.from({ length: GOOD_CONNECTIONS }, () =>
    connect({ dir: plan.dir, timeoutMs: PATIENCE_MS }),
  ),
);
const [writer, reader, follower] = logs as [EventLog, EventLog, EventLog];
for (const log of logs)
  log.on('disconnect', (error) => tell(`a good client lost its connection: ${error.message}`));
/** The end of the work, and the end of following it. */
const [work, following] = [new AbortController(), new AbortController()];
const { signal } = following;

/** A stream of which the k-th event that was written has the seq k and the content `k`. */
interface Good {
  readonly name: string;
  /** Events that were acknowledged, and that the follower has seen. */
  written: number;
  followed: number;
  readonly append: (contents: readonly string[]) => Promise<readonly Held[]>;
  readonly read: (afterSeq: number) => Promise<readonly Held[]>;
  readonly follow: (log: EventLog, after: number) => AsyncIterable<Held>;
}

const turns: Good = {
  name: 'turns',
  written: 0,
  followed: 0,
  append: async (contents) =>
    await Promise.all(
      contents.map((content) => writer.turns.append(ID, { event: 'token', content })),
    ),
  read: async (afterSeq) => (await reader.turns.read(ID, { afterSeq, limit: PAGE })).events,
  follow: (log, after) => log.turns.subscribe(ID, { after, signal }),
};

const runs: Good = {
  name: 'runs',
  written: 0,
  followed: 0,
  append: async (contents) => await writer.runs.putBatch(contents.map(runEvent)),
  read: async (afterSeq) => await reader.runs.listMessages(ID, { afterSeq, limit: PAGE }),
  follow: (log, after) => log.runs.subscribe(ID, { after, signal }),
};

function runEvent(content: string): Parameters<EventLog['runs']['put']>[0] {
  const run_id = `r${Number(content) % 3}`;
  return { thread_id: ID, run_id, event_type: 'text', category: 'message', content };
}

/** Tells how it went, once. */
function tell(finding: string | null): never {
  process.stdout.write(`${JSON.stringify({ finding, ...report })}\n`);
  process.exit();
}

/** A call that must be answered, and in time. */
async function call<T>(what: string, answer: Promise<T>): Promise<T> {
  const began = performance.now();
  try {
    return await answer;
  } catch (error) {
    return tell(`${what} of a good client failed: ${String(error)}`);
  } finally {
    report.slowestMs = Math.max(report.slowestMs, Math.round(performance.now() - began));
  }
}

/** Checks events of a stream, from that seq on. */
function check(what: string, events: readonly Held[], from: number): void {
  for (const [at, { seq, content }] of events.entries()) {
    const due = from + at;
    if (seq !== due || content !== String(due))
      tell(`${what}: seq ${seq}, content ${JSON.stringify(content)} where ${due} is due`);
  }
}

async function write(stream: Good): Promise<void> {
  const what = `an append to ${stream.name}`;
  while (!work.signal.aborted) {
    const first = stream.written + 1;
    const contents = Array.from({ length: BURST }, (_, at) => String(first + at));
    check(what, await call(what, stream.append(contents)), first);
    stream.written += BURST;
    report.appended += BURST;
    await delay(PAUSE_MS);
  }
}

async function readPage(stream: Good, after: number): Promise<number> {
  const { written } = stream;
  const what = `a read of ${stream.name} after ${after}`;
  const events = await call(what, stream.read(after));
  check(what, events, after + 1);
  if (events.length < Math.min(PAGE, written - after))
    tell(`${what} gave ${events.length} events where ${written - after} were acknowledged`);
  report.reads += 1;
  return events.length;
}

async function read(stream: Good): Promise<void> {
  while (!work.signal.aborted) {
    await readPage(stream, random(stream.written + 1));
    await delay(PAUSE_MS);
  }
}

/** Follows a stream from its start to the end of all. */
async function follow(stream: Good): Promise<void> {
  for await (const event of stream.follow(follower, 0)) {
    check(`a subscription to ${stream.name}`, [event], stream.followed + 1);
    stream.followed += 1;
    report.followed += 1;
  }
}

/** Begins to follow a stream in its midst, again and again. */
async function followAnew(stream: Good): Promise<void> {
  while (!work.signal.aborted) {
    const after = random(stream.written + 1);
    let seen = 0;
    for await (const event of stream.follow(reader, after)) {
      seen += 1;
      check(`a new subscription to ${stream.name}`, [event], after + seen);
      if (seen === PAGE) break;
    }
    report.followed += seen;
    await delay(PAUSE_MS);
  }
}

/** Follows everything, of which the good streams are a part. */
async function followAll(): Promise<void> {
  const seen = { turns: 0, runs: 0 };
  let last = 0;
  for await (const entry of follower.subscribeAll({ afterPosition: 0, signal })) {
    const { position, journal, streamId } = entry;
    if (position <= last) tell(`subscribeAll: position ${position} after ${last}`);
    last = position;
    if (streamId !== ID || entry.event === undefined) continue;
    seen[journal] += 1;
    check(`subscribeAll, ${journal}`, [entry.event as Held], seen[journal]);
    report.followed += 1;
  }
}

/** What goes on until following ends. */
function untilOver(following: Promise<void>): void {
  following.catch((error: unknown) => {
    if (!(error instanceof AbortedError)) tell(`following failed: ${String(error)}`);
  });
}

const streams = [turns, runs];
const working = streams.flatMap((stream) => [write(stream), read(stream)]);
for (const stream of streams) {
  untilOver(follow(stream));
  untilOver(followAnew(stream));
}
untilOver(followAll());
process.stdin.resume();
await once(process.stdin, 'end');
work.abort();
await Promise.all(working);
const deadline = performance.now() + PATIENCE_MS;
for (const stream of streams) {
  while (stream.followed < stream.written) {
    if (performance.now() > deadline)
      tell(`a subscription to ${stream.name} hangs at ${stream.followed} of ${stream.written}`);
    await delay(PAUSE_MS);
  }
  for (let after = 0; after < stream.written; ) after += await readPage(stream, after);
}
following.abort();
tell(null);
