/**
 * A number of bytes that all connections share. A connection that finds none left is called
 * again when there are some.
 *
 * @module
 */

export class ByteBudget {
  readonly #bytesMax: number;
  #used = 0;
  #waiting: Set<() => void> = new Set();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get used(): number {
    return this.#used;
  }

  /** Whether there is room; if not, `retry` is called once there is. */
  hasRoom(retry: () => void): boolean {
    if (this.#used < this.#bytesMax) return true;
    this.#waiting.add(retry);
    return false;
  }

  take(bytes: number): void {
    this.#used += bytes;
  }

  release(bytes: number): void {
    this.#used -= bytes;
    if (this.#waiting.size === 0 || this.#used >= this.#bytesMax) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const retry of waiting) setImmediate(retry);
  }
}
