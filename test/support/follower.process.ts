/**
 * A subscriber as a process: follows a stream or everything and tells each event in a line on
 * standard output, until it was given the event that ends it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import {
  connect,
  detailsOf,
  EventLogError,
  formatCursor,
  PositionExpiredError,
  parseCursor,
  type RunEvent,
  type TurnEvent,
} from '../../client/index.js';

/** What the process is told, as JSON in its first argument. */
export interface FollowerPlan {
  readonly dir: string;
  /** The daemon's socket, if it is not to be found by the directory. */
  readonly socketPath?: string;
  readonly what: 'turns' | 'runs' | 'all';
  readonly id: string;
  /** Only this run's events. */
  readonly runId?: string;
  /** Only events of these types. */
  readonly eventTypes?: readonly string[];
  /** The cursor or position to go on from; null for the start. */
  readonly from: string | null;
  /** A pause after each event, in milliseconds: a consumer that is slower than the writers. */
  readonly pauseMs: number;
  /**
   * It ends when it has seen so many events with the content `end`. With null it never does, tells
   * when a life ends, and follows the next one.
   */
  readonly ends: number | null;
}

/** What it tells of an event. */
export interface Followed {
  readonly kind: 'event';
  readonly stream: string;
  /** The run, of events of threads. */
  readonly run: string | null;
  readonly generation: number;
  readonly seq: number;
  readonly content: unknown;
  /** CRC-32 of its exact line. */
  readonly checksum: number;
  /** Where to go on from. */
  readonly at: string;
}

/** What it tells of a life that ended, or of a deletion in the log of everything. */
export interface Ended {
  readonly kind: 'ended';
  readonly stream: string;
  /** The run, if only that was deleted. */
  readonly run: string | null;
  /** The code with which the subscription ended; null for a deletion in the log of everything. */
  readonly code: string | null;
  readonly at: string;
}

export type Told = Followed | Ended;

/** The cursor of the start of whatever life there is. */
const START = '0-0';
const OVER: ReadonlySet<string> = new Set(['STREAM_DELETED', 'CURSOR_EXPIRED']);

const plan = JSON.parse(process.argv[2] ?? '') as FollowerPlan;
const log = await connect({ dir: plan.dir, socketPath: plan.socketPath });
let ends = 0;

function told(stream: string, event: TurnEvent | RunEvent, at: string): Followed {
  const { cursor, text } = detailsOf(event);
  const { content, run_id: run } = event as {
    readonly content?: unknown;
    readonly run_id?: string;
  };
  return {
    kind: 'event',
    stream,
    run: stream.startsWith('runs/') ? (run ?? '') : null,
    ...cursor,
    content,
    checksum: crc32(text ?? ''),
    at,
  };
}

/** Returns where to go on, when the log no longer holds what came next. */
async function* everything(from: string): AsyncGenerator<Told, string> {
  try {
    for await (const entry of log.subscribeAll({ afterPosition: Number(from) })) {
      const stream = `${entry.journal}/${entry.streamId}`;
      const at = String(entry.position);
      if (entry.event !== undefined) yield told(stream, entry.event, at);
      else yield { kind: 'ended', stream, run: entry.runId ?? null, code: null, at };
    }
    throw new Error('the log of everything has no end');
  } catch (error) {
    if (plan.ends !== null || !(error instanceof PositionExpiredError)) throw error;
    const at = String(error.earliest - 1);
    yield { kind: 'ended', stream: '', run: null, code: error.code, at };
    return at;
  }
}

async function* life(from: string | null): AsyncGenerator<Told> {
  const { what, id, runId, eventTypes } = plan;
  const stream = `${what}/${id}`;
  const after = from === null ? 'start' : parseCursor(from);
  const subscription =
    what === 'turns'
      ? log.turns.subscribe(id, { after })
      : log.runs.subscribe(id, { after, runId, eventTypes });
  try {
    for await (const event of subscription)
      yield told(stream, event, formatCursor(detailsOf(event).cursor));
  } catch (error) {
    if (plan.ends !== null || !(error instanceof EventLogError) || !OVER.has(error.code))
      throw error;
    yield { kind: 'ended', stream, run: null, code: error.code, at: START };
  }
}

async function* followed(): AsyncGenerator<Told> {
  if (plan.what === 'all') {
    for (let from = plan.from ?? '0'; ; ) from = yield* everything(from);
  }
  yield* life(plan.from);
  for (;;) yield* life(null);
}

for await (const entry of followed()) {
  process.stdout.write(`${JSON.stringify(entry)}\n`);
  if (entry.kind === 'event' && entry.content === 'end') ends += 1;
  if (ends === plan.ends) break;
  if (plan.pauseMs > 0) await delay(plan.pauseMs);
}
await log.close();
