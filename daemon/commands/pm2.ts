/**
 * What pm2 is told, where it started the daemon. Its messages are plain objects over the channel
 * to the parent process; nothing of pm2 is imported.
 *
 * @module
 */
import type { Daemon } from '../daemon.js';
import type { Measures } from '../metrics/measures.js';

const REPORT_MS = 1_000;
const MIB = 1024 * 1024;

/** A value as `pm2 show` and `pm2 monit` show it. */
interface Monitored {
  readonly value: string | number;
  readonly type: string;
  readonly unit?: string;
  /** Whether pm2 keeps it over time. */
  readonly historic: boolean;
}

/** What rates are counted between. */
interface Look {
  readonly appends: number;
  readonly events: number;
  /** Acknowledgements by how long they took. */
  readonly acks: readonly number[];
  readonly atMs: number;
}

/** Tells the parent process; one that is gone by now is not told, and that is all. */
export function tellParent(message: unknown): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

/** Reports to pm2 until the daemon has ended; does nothing where it was not pm2 that started it. */
export function reportToPm2(daemon: Daemon): void {
  if (process.send === undefined || process.env['pm_id'] === undefined) return;
  let before = lookAt(daemon.measures());
  const timer = setInterval(() => {
    const measures = daemon.measures();
    const now = lookAt(measures);
    tellParent({ type: 'axm:monitor', data: monitored(measures, now, before) });
    before = now;
  }, REPORT_MS).unref();
  void daemon.closed.then(() => clearInterval(timer));
}

function lookAt({ store }: Measures): Look {
  const { journals, ackSeconds } = store.commit;
  return {
    appends: journals.turns.appends + journals.runs.appends,
    events: journals.turns.events + journals.runs.events,
    acks: [...ackSeconds.counts],
    atMs: performance.now(),
  };
}

function monitored(measures: Measures, now: Look, before: Look): Record<string, Monitored> {
  const { store, status, connections } = measures;
  const seconds = (now.atMs - before.atMs) / 1000;
  const rate = (of: 'appends' | 'events'): Monitored =>
    gauge(Math.round((now[of] - before[of]) / seconds), '/s');
  const { bounds } = store.commit.ackSeconds;
  const acks = now.acks.map((count, at) => count - (before.acks[at] ?? 0));
  const within = (share: number): Monitored => {
    const bound = boundOf(bounds, acks, share);
    return gauge(bound === null ? '-' : `≤ ${bound * 1000}`, 'ms');
  };
  return {
    health: gauge(status.state === 'serving' ? status.health : status.state),
    appends: rate('appends'),
    events: rate('events'),
    'ack p50': within(0.5),
    'ack p99': within(0.99),
    queue: gauge(store.queued),
    connections: gauge(connections),
    subscriptions: gauge(store.subscriptions),
    'open streams': gauge(store.openStreams),
    'commit log': gauge(Math.round(store.logBytes / MIB), 'MiB'),
    'disk free': gauge(Math.round(store.room.free / MIB), 'MiB'),
    'checkpoint age': gauge(Math.round(store.checkpoint.ageMs / 1000), 's'),
  };
}

function gauge(value: string | number, unit?: string): Monitored {
  return { value, type: 'eventlogd', historic: true, ...(unit === undefined ? {} : { unit }) };
}

/** The bound below which that share of the values lies; null where there are none. */
function boundOf(
  bounds: readonly number[],
  counts: readonly number[],
  share: number,
): number | null {
  const all = counts.reduce((sum, count) => sum + count, 0);
  if (all === 0) return null;
  let sum = 0;
  const at = counts.findIndex((count) => (sum += count) >= all * share);
  return bounds[at] ?? Number.POSITIVE_INFINITY;
}
