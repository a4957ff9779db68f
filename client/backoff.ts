/**
 * The pauses between attempts to connect.
 *
 * @module
 */

const FIRST_MS = 20;
const LAST_MS = 1_000;
const FACTOR = 2;

/**
 * Growing pauses, each drawn from the upper half of its range: clients that lost the same daemon
 * come back spread out, and none comes back at once for ever.
 */
export class Backoff {
  #rangeMs = FIRST_MS;
  readonly #random: () => number;

  /** @param random numbers from 0 to 1, as Math.random gives them */
  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** The next pause, in milliseconds. */
  next(): number {
    const range = this.#rangeMs;
    this.#rangeMs = Math.min(range * FACTOR, LAST_MS);
    return range / 2 + (range / 2) * this.#random();
  }

  /** Starts over, after an attempt that succeeded. */
  reset(): void {
    this.#rangeMs = FIRST_MS;
  }
}
