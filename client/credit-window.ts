/**
 * What a subscription may be sent ahead of its consumer.
 *
 * @module
 */
import {
  CLIENT_SUBSCRIPTIONS_CREDIT,
  SUBSCRIPTION_CREDIT,
  SUBSCRIPTION_CREDIT_MIN,
} from '../shared/limits.js';

/** The window of one subscription where a client has so many. */
export function windowOf(subscriptions: number): number {
  const share = Math.floor(CLIENT_SUBSCRIPTIONS_CREDIT / Math.max(subscriptions, 1));
  return Math.max(SUBSCRIPTION_CREDIT_MIN, Math.min(SUBSCRIPTION_CREDIT, share));
}

/**
 * Invariant: what is held and what the daemon may still send make no more than the window, save
 * for the one row that the daemon sends while any credit is left.
 */
export class CreditWindow {
  #window = 0;
  #held = 0;
  /** Taken and not granted again yet; below 0 where more is held than a new window allows. */
  #taken = 0;

  /** Opens a window on a new connection: what is held counts as sent. Returns the credit to ask with. */
  open(window: number): number {
    this.#window = window;
    const free = window - this.#held;
    this.#taken = Math.min(0, free);
    return Math.max(0, free);
  }

  /** A row came. */
  hold(credit: number): void {
    this.#held += credit;
  }

  /** A row that came was taken. Returns the credit to grant now, often none. */
  take(credit: number): number {
    this.#held -= credit;
    this.#taken += credit;
    if (this.#taken * 2 < this.#window) return 0;
    const granted = this.#taken;
    this.#taken = 0;
    return granted;
  }
}
