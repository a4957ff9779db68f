/**
 * A subscriber as a process: follows a stream or everything and tells each event in a line on
 * standard output, until it was given the event that ends it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { connect, detailsOf, formatCursor, parseCursor } from '../../client/index.js';

/** What the process is told, as JSON in its first argument. */
export interface FollowerPlan {
  readonly dir: string;
  readonly what: 'turns' | 'runs' | 'all';
  readonly id: string;
  /** Only this run's events. */
  readonly runId?: string;
  /** The cursor or position to go on from; null for the start. */
  readonly from: string | null;
  /** A pause after each event, in milliseconds: a consumer that is slower than the writers. */
  readonly pauseMs: number;
  /** It ends when it has seen so many events with the content `end`. */
  readonly ends: number;
}

/** What it tells of an event. */
export interface Followed {
  readonly stream: string;
  readonly seq: number;
  readonly content: unknown;
  /** Where to go on from. */
  readonly at: string;
}

const plan = JSON.parse(process.argv[2] ?? '') as FollowerPlan;
const log = await connect({ dir: plan.dir });
let ends = 0;

async function* followed(): AsyncGenerator<Followed> {
  const { what, id, from, runId } = plan;
  if (what === 'all') {
    for await (const entry of log.subscribeAll({ afterPosition: Number(from ?? 0) })) {
      if (!('event' in entry)) continue;
      const { seq, content } = entry.event as { readonly seq: number; readonly content?: unknown };
      const stream = `${entry.journal}/${entry.streamId}`;
      yield { stream, seq, content, at: String(entry.position) };
    }
    return;
  }
  const after = from === null ? 'start' : parseCursor(from);
  const subscription =
    what === 'turns'
      ? log.turns.subscribe(id, { after })
      : log.runs.subscribe(id, { after, runId });
  for await (const event of subscription) {
    const { seq } = event;
    const { content } = event as { readonly content?: unknown };
    const at = formatCursor(detailsOf(event).cursor);
    yield { stream: `${what}/${id}`, seq, content, at };
  }
}

for await (const event of followed()) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
  if (event.content === 'end') ends += 1;
  if (ends === plan.ends) break;
  if (plan.pauseMs > 0) await delay(plan.pauseMs);
}
await log.close();
