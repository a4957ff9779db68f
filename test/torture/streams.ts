/** The streams of a torture, and what may happen to each. */
import type { Random } from '../support/random.js';

/** Sessions and threads that only the daemon's clients change, and that nobody deletes. */
const SMALL_SESSIONS = 60;

/** Others append to its file. */
export const FOREIGN_SESSION = 'sf';
/** Others remove their files. */
export const REMOVED_SESSION = 'sx';
export const REMOVED_THREAD = 'tx';
/** Others write seqs into it that are taken; it is fenced, repaired, and renumbered by that. */
export const REPAIRED_THREAD = 'tr';

export const RUNS: readonly string[] = ['r0', 'r1', 'r2', 'r3'];

/** Whether other programs append to the stream. */
export function isForeign(stream: string): boolean {
  return stream === `turns/${FOREIGN_SESSION}`;
}

/** Whether its events get new seqs now and then. */
export function isRenumbered(stream: string): boolean {
  return stream === `runs/${REPAIRED_THREAD}`;
}

/** Whether seqs may be missing: runs of it are deleted, or its files are removed. */
export function mayHaveGaps(stream: string): boolean {
  return stream === 'runs/td' || isRemoved(stream);
}

/** Whether other programs remove files of the stream. */
export function isRemoved(stream: string): boolean {
  return stream === `turns/${REMOVED_SESSION}` || stream === `runs/${REMOVED_THREAD}`;
}

export const streams = {
  /** A session: mostly one that all write to, at times one of many. */
  session(random: Random): string {
    const at = random(20);
    if (at < 6) return 'turns/s0';
    if (at < 10) return 'turns/s1';
    if (at < 13) return 'turns/sd';
    if (at < 15) return `turns/${FOREIGN_SESSION}`;
    if (at < 16) return `turns/${REMOVED_SESSION}`;
    return `turns/n${random(SMALL_SESSIONS)}`;
  },
  thread(random: Random): string {
    const at = random(10);
    if (at < 5) return 'runs/t0';
    if (at < 7) return 'runs/t1';
    if (at < 8) return 'runs/td';
    if (at < 9) return `runs/${REPAIRED_THREAD}`;
    return `runs/${REMOVED_THREAD}`;
  },
  run(random: Random): string {
    return RUNS[random(RUNS.length)] ?? 'r0';
  },
};
