/**
 * Which health there is of what writing met and of how much room was measured (pure). The rows of
 * docs/operations.md are these.
 *
 * @module
 */
import type { RoomLimits } from '../../shared/limits.js';

/** Every health, the mildest first: of two that hold, the later one is told. */
export const HEALTHS = [
  'ok',
  'disk-low',
  'disk-full',
  'files-behind',
  'log-full',
  'failed',
] as const;

/** What stands in the way of appends, or soon will. */
export type CommitHealth = (typeof HEALTHS)[number];

/** What was measured of the disk's room. */
export type RoomHealth = Extract<CommitHealth, 'ok' | 'disk-low' | 'disk-full'>;

/** What writing met. */
export type WriteHealth = Exclude<CommitHealth, 'disk-low' | 'disk-full'>;

/** The more severe of what writing met and what was measured. */
export function worseOf(writes: WriteHealth, room: RoomHealth): CommitHealth {
  return HEALTHS.indexOf(writes) >= HEALTHS.indexOf(room) ? writes : room;
}

/** Whether appends are taken. */
export function takesAppends(health: CommitHealth): boolean {
  return health === 'ok' || health === 'disk-low';
}

/**
 * What the room says after another look at it. A state ends only with clearly more room than it
 * began with, so that what the daemon itself fills and gives back does not end and begin it.
 */
export function roomAfter(before: RoomHealth, freeBytes: number, limits: RoomLimits): RoomHealth {
  const { fullBelowBytes, fullUntilBytes, lowBelowBytes, lowUntilBytes } = limits;
  if (freeBytes < (before === 'disk-full' ? fullUntilBytes : fullBelowBytes)) return 'disk-full';
  if (freeBytes < (before === 'ok' ? lowBelowBytes : lowUntilBytes)) return 'disk-low';
  return 'ok';
}
