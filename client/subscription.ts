/**
 * Subscriptions as their consumers see them.
 *
 * @module
 */
import type { Cursor } from '../shared/cursor.js';
import type { SubscriptionFeed } from './feed.js';
import type { LogEntry, SubscriptionState } from './types.js';

/**
 * Events as they become durable, each exactly once and in order: first those that are there, then
 * every new one. It goes on by itself after a lost connection and a restart of the daemon. It has
 * one consumer, who takes the events at his own pace; leaving the loop ends it.
 *
 * @example
 * for await (const event of log.turns.subscribe('s1')) {
 *   render(event);
 *   if (event.event === 'completed') break;
 * }
 */
export abstract class Subscription<Item> implements AsyncIterableIterator<Item, undefined> {
  readonly #feed: SubscriptionFeed<Item, unknown>;

  constructor(feed: SubscriptionFeed<Item, unknown>) {
    this.#feed = feed;
  }

  /**
   * Where the subscription is.
   *
   * @example
   * if (subscription.state === 'connecting') showBanner('waiting for the event log');
   */
  get state(): SubscriptionState {
    return this.#feed.inbox.state;
  }

  /**
   * Resolves when the subscription has come to the present: all that was there is received and, if
   * it is iterated, handed out. At once while it is `live`. Rejects if it ends before.
   *
   * @example
   * const subscription = log.turns.subscribe('s1', { after: 'now' });
   * await subscription.caughtUp();
   * await log.turns.append('s1', { event: 'submitted' }); // the subscription gets it
   */
  caughtUp(): Promise<void> {
    return this.#feed.inbox.caughtUp();
  }

  /**
   * Ends the subscription; events that wait are dropped, and the iteration is done.
   *
   * @example
   * subscription.close();
   */
  close(): void {
    this.#feed.drop(null);
  }

  /** The next event, as `for await` asks for it. Throws what ended the subscription, once. */
  next(): Promise<IteratorResult<Item, undefined>> {
    return this.#feed.inbox.next();
  }

  /** Ends the subscription, as leaving `for await` does. */
  return(): Promise<IteratorResult<Item, undefined>> {
    this.close();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** The subscription itself: it has one consumer. */
  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}

/** The events of one stream. */
export class StreamSubscription<Event> extends Subscription<Event> {
  readonly #feed: SubscriptionFeed<Event, Cursor>;

  constructor(feed: SubscriptionFeed<Event, Cursor>) {
    super(feed);
    this.#feed = feed;
  }

  /**
   * Where another subscription goes on: behind the last event that was handed out, and what the
   * filter left out behind it. Before the daemon has said where the subscription begins it is the
   * cursor given as `after`, else that of the start.
   *
   * @example
   * for await (const event of subscription) {
   *   await handle(event);
   *   await save(formatCursor(subscription.cursor));
   * }
   */
  get cursor(): Cursor {
    return this.#feed.inbox.place;
  }
}

/** What happens in all streams, in the order in which it was committed. */
export class LogSubscription extends Subscription<LogEntry> {
  readonly #feed: SubscriptionFeed<LogEntry, number>;

  constructor(feed: SubscriptionFeed<LogEntry, number>) {
    super(feed);
    this.#feed = feed;
  }

  /**
   * Where another subscription goes on: behind the last entry that was handed out, and what was
   * left out behind it. Before the daemon has said where the subscription begins it is
   * `afterPosition`, else 0.
   *
   * @example
   * const resumed = log.subscribeAll({ afterPosition: subscription.position });
   */
  get position(): number {
    return this.#feed.inbox.place;
  }
}
