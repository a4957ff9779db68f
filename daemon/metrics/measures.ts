/**
 * What the daemon counted so far and how big things are, at one moment: the source of `stats`, of
 * the metrics, and of what a process manager is told.
 *
 * @module
 */
import type { CommitHealth } from '../commit/health-table.js';
import type { SubscriptionCounts } from '../server/subscriptions.js';
import type { StoreMeasures } from '../store.js';
import type { StreamTotals } from '../streams/stream-totals.js';

/** What a daemon is doing. */
export type DaemonState = 'starting' | 'serving' | 'draining' | 'failing' | 'stopped';

/** Whether it is well, and if not, why. */
export interface DaemonStatus {
  readonly state: DaemonState;
  readonly health: CommitHealth;
  /** Why the health is not `ok`; else empty. */
  readonly reason: string;
}

/** All of it. */
export interface Measures {
  readonly store: StoreMeasures;
  /** All open streams together. */
  readonly open: StreamTotals;
  readonly status: DaemonStatus;
  readonly connections: number;
  readonly requestBytes: number;
  readonly subscriptions: SubscriptionCounts;
  /** Calls that were refused, by the code of the error. */
  readonly refusals: ReadonlyMap<string, number>;
  readonly version: string;
}

/** What `stats` answers: nothing for which streams or subscriptions have to be walked, since any client may ask at any rate. */
export function statsOf({
  store,
  status,
  connections,
}: Pick<Measures, 'store' | 'status' | 'connections'>): object {
  const { commit, fsyncs, checkpoint, room, ...rest } = store;
  const { turns, runs } = commit.journals;
  return {
    appends: turns.appends + runs.appends,
    events: turns.events + runs.events,
    adopted: commit.adopted,
    commits: commit.commits,
    fsyncs,
    checkpoints: checkpoint.count,
    lastCheckpoint: checkpoint.last,
    openStreams: rest.openStreams,
    subscriptions: rest.subscriptions,
    pushed: rest.pushed,
    queued: rest.queued,
    logBytes: rest.logBytes,
    epoch: rest.epoch,
    position: rest.position,
    health: status.state === 'draining' ? 'draining' : status.health,
    ...(status.reason === '' ? {} : { healthReason: status.reason }),
    disk: { freeBytes: room.free, sizeBytes: room.size, reserveBytes: room.reserve },
    connections,
    pid: process.pid,
  };
}
