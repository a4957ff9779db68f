/**
 * The subscriptions of one client: which message goes to which, and asking for all of them again
 * on every new connection.
 *
 * @module
 */
import { type ClientClosedError, ProtocolError } from '../shared/errors.js';
import { CLIENT_SUBSCRIBES_MAX } from '../shared/limits.js';
import type { Push } from '../shared/protocol.js';
import { Backoff } from './backoff.js';
import type { Connection, Followers } from './connection.js';
import { windowOf } from './credit-window.js';
import { type Feed, type FeedOwner, SubscriptionFeed } from './feed.js';
import type { Followed } from './followed.js';

/**
 * Invariants: every feed that is not over is in `#feeds`; one in the state `waiting` is either in
 * `#due` or in `#paused`, and others are in neither.
 */
export class SubscriptionTable implements Followers, FeedOwner {
  readonly #connection: Connection;
  readonly #feeds = new Map<number, Feed>();
  #lastNumber = 0;
  /** To be asked for when there is a connection, in this order. */
  readonly #due = new Set<Feed>();
  /** Refused for a reason that passes: due again after a pause that all of them share. */
  readonly #paused = new Set<Feed>();
  readonly #backoff = new Backoff();
  #pauseTimer: NodeJS.Timeout | undefined;
  #asking = 0;
  #closedError: ClientClosedError | null = null;

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.serve(this);
  }

  /** Begins a subscription. */
  open<Item, Place>(
    followed: Followed<Item, Place>,
    place: Place,
    signal: AbortSignal | undefined,
  ): SubscriptionFeed<Item, Place> {
    if (this.#closedError !== null) throw this.#closedError;
    this.#lastNumber += 1;
    const feed = new SubscriptionFeed(this.#lastNumber, followed, { owner: this, place });
    this.#feeds.set(feed.number, feed);
    this.#due.add(feed);
    if (signal !== undefined) feed.endWith(signal);
    this.#askDue();
    return feed;
  }

  readonly onPush = (push: Push): void => {
    const { subscription } = push;
    if (typeof subscription !== 'number') {
      throw new ProtocolError('a message names no subscription', 'unknown');
    }
    this.#feeds.get(subscription)?.message(push);
    if (push.type === 'progress' && push.caughtUp === true && this.#paused.size === 0) {
      this.#backoff.reset();
    }
  };

  readonly onReady = (): void => this.#askDue();

  readonly onLost = (): void => {
    this.#resume();
    for (const feed of this.#feeds.values()) {
      feed.lost();
      this.#due.add(feed);
    }
  };

  readonly onClosed = (error: ClientClosedError): void => {
    this.#closedError = error;
    for (const feed of this.#feeds.values()) feed.drop(error);
    this.#resume();
  };

  grant({ number }: Feed, credit: number): void {
    this.#connection.notify({ type: 'credit', subscription: number, credit });
  }

  again(feed: Feed): void {
    this.#paused.add(feed);
    if (this.#pauseTimer !== undefined) return;
    this.#pauseTimer = setTimeout(() => {
      this.#resume();
      this.#askDue();
    }, this.#backoff.next());
    // Only a connection keeps the process alive.
    this.#pauseTimer.unref();
  }

  unsubscribe({ number }: Feed): void {
    this.#connection.notify({ type: 'unsubscribe', subscription: number });
  }

  leave(feed: Feed): void {
    this.#feeds.delete(feed.number);
    this.#due.delete(feed);
    this.#paused.delete(feed);
  }

  #resume(): void {
    clearTimeout(this.#pauseTimer);
    this.#pauseTimer = undefined;
    for (const feed of this.#paused) this.#due.add(feed);
    this.#paused.clear();
  }

  /** So many at once that calls find room beside them. */
  #askDue(): void {
    for (const feed of this.#due) {
      if (this.#asking >= CLIENT_SUBSCRIBES_MAX || this.#connection.state !== 'ready') return;
      this.#due.delete(feed);
      void this.#ask(feed);
    }
  }

  async #ask(feed: Feed): Promise<void> {
    const { request, attempt } = feed.ask(windowOf(this.#feeds.size));
    this.#asking += 1;
    try {
      await this.#connection.submit(request, {});
      feed.answered(attempt);
    } catch (error) {
      feed.refused(attempt, error as Error);
    } finally {
      this.#asking -= 1;
      this.#askDue();
    }
  }
}
