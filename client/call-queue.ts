/**
 * Calls that wait to be sent, in call order.
 *
 * @module
 */
import type { Call } from './call.js';

/** Dead entries that are tolerated before the queue is packed. */
const DEAD_MAX = 64;

/**
 * Only calls in the state `unsent` are in the queue; one that leaves that state without being
 * taken stays as a dead entry until the queue is packed, so leaving costs nothing.
 */
export class CallQueue {
  #calls: Call[] = [];
  /** Entries before it have been taken. */
  #head = 0;
  #live = 0;
  #isSorted = true;

  get size(): number {
    return this.#live;
  }

  push(call: Call): void {
    this.#calls.push(call);
    this.#live += 1;
  }

  /** Puts a call back in its place by call order. */
  putBack(call: Call): void {
    this.push(call);
    this.#isSorted = false;
  }

  /** The next call, left in the queue. */
  peek(): Call | null {
    if (!this.#isSorted) this.#pack();
    while (this.#head < this.#calls.length) {
      const call = this.#calls[this.#head] as Call;
      if (call.state === 'unsent') return call;
      this.#head += 1;
    }
    return null;
  }

  /** Takes the call that `peek` showed. */
  shift(): void {
    this.#head += 1;
    this.#live -= 1;
    this.#packIfDead();
  }

  /** Notes that a call in the queue is no longer `unsent`. */
  leave(): void {
    this.#live -= 1;
    this.#packIfDead();
  }

  /** The calls in the queue, in call order. */
  toArray(): Call[] {
    this.#pack();
    return [...this.#calls];
  }

  #packIfDead(): void {
    const dead = this.#calls.length - this.#live;
    if (dead > DEAD_MAX && dead > this.#live) this.#pack();
  }

  #pack(): void {
    this.#calls = this.#calls.slice(this.#head).filter((call) => call.state === 'unsent');
    this.#head = 0;
    if (!this.#isSorted) this.#calls.sort((one, other) => one.id - other.id);
    this.#isSorted = true;
  }
}
