/**
 * Whether the other side of a connection is still there.
 *
 * @module
 */
import { HEARTBEATS_MISSED_MAX } from './limits.js';

/** What is to be done at the end of a period: nothing, ask, or give the other side up. */
export type Pulse = 'quiet' | 'ping' | 'dead';

/**
 * Counts the periods in which nothing came from the other side. It counts and never looks at a
 * clock: a process that was itself stopped finds one period over when it goes on, not all those
 * that it missed, and reads what came meanwhile before the next one ends.
 *
 * @example
 * const silence = new Silence();
 * socket.on('data', () => silence.heard());
 * setInterval(() => silence.tick(), CLIENT_HEARTBEAT_MS);
 */
export class Silence {
  /** Periods that are over since the other side was heard; -1 in a period in which it was. */
  #periods = -1;

  /** Something came, whatever it was. */
  heard(): void {
    this.#periods = -1;
  }

  /** A period is over. */
  tick(): Pulse {
    this.#periods += 1;
    if (this.#periods >= HEARTBEATS_MISSED_MAX) return 'dead';
    return this.#periods === 1 ? 'ping' : 'quiet';
  }
}
