/**
 * What a subscription is sent: while it has credit and its connection takes more, else not. It
 * reads by turns until nothing is left, and then gets what is committed.
 *
 * @module
 */
import { errorToWire } from '../../shared/error-wire.js';
import { EventLogError, StorageFailedError } from '../../shared/errors.js';
import { ANSWER_FRAME_BYTES } from '../../shared/limits.js';
import type { WireCursor } from '../../shared/protocol.js';
import type { CatchUp, PageReader } from './catch-up.js';
import type { Hub } from './hub.js';
import { type EncodedRow, PushWriter } from './push-writer.js';
import type { Subscriber, SubscriptionState } from './subscriber.js';

export interface DeliveryOptions {
  readonly subscriber: Subscriber;
  readonly catchUp: CatchUp;
  readonly hub: Hub;
}

/** Who reads for the subscription, and is told once when it is over. */
export interface DeliveryOwner extends PageReader {
  /** Lets go of all that it follows. */
  left(): void;
}

/** How far a subscription is: in its stream, or in everything. */
export type Place = { readonly cursor: WireCursor } | { readonly position: number };

/** The way to one subscriber. */
export class Delivery {
  readonly #options: DeliveryOptions;
  readonly #owner: DeliveryOwner;
  readonly #writer: PushWriter;
  #state: SubscriptionState | 'ended' = 'opening';
  #credit: number;
  #wasLive = false;

  constructor(options: DeliveryOptions, owner: DeliveryOwner) {
    const { subscriber, hub } = options;
    this.#options = options;
    this.#owner = owner;
    this.#credit = subscriber.credit;
    this.#writer = new PushWriter(subscriber.sink, subscriber.number, hub.counts);
  }

  get state(): SubscriptionState | 'ended' {
    return this.#state;
  }

  get isOver(): boolean {
    return this.#state === 'ended';
  }

  /** What a page may hold, in bytes; its last row may go beyond that. */
  get pageBytesMax(): number {
    return Math.min(this.#credit, ANSWER_FRAME_BYTES);
  }

  /** Whether the connection takes more. */
  get hasRoom(): boolean {
    return this.#options.subscriber.sink.hasRoom;
  }

  get canSend(): boolean {
    return this.#credit > 0 && this.hasRoom;
  }

  /** Adds a row; it is sent with its neighbours at the next `flush`, if not before. */
  send(row: EncodedRow): void {
    this.#writer.add(row);
    this.#credit -= row.credit;
  }

  flush(): void {
    this.#writer.flush();
  }

  /** Says how far it is, behind the rows. */
  progress(place: Place, more: { readonly caughtUp?: true } = {}): void {
    const { number } = this.#options.subscriber;
    this.#writer.message({ type: 'progress', subscription: number, ...place, ...more });
  }

  /** The subscriber takes so much more. */
  grant(credit: number): void {
    this.#credit += credit;
    if (this.#state === 'starved' && this.#credit > 0) this.goOn();
  }

  /** What follows is read, as soon as there is credit. */
  goOn(): void {
    this.#state = this.#credit > 0 ? 'behind' : 'starved';
    this.takeTurn();
  }

  /** Reads a page when its turn comes. */
  takeTurn(): void {
    if (this.#state === 'behind') this.#options.catchUp.add(this.#owner);
  }

  /**
   * There is nothing that was not sent: from here on it gets what is committed.
   *
   * @returns whether that is so for the first time
   */
  join(): boolean {
    const isFirst = !this.#wasLive;
    this.#state = 'live';
    this.#wasLive = true;
    return isFirst;
  }

  /** Ends it and says why. */
  end(error: unknown): void {
    if (this.isOver) return;
    const { number } = this.#options.subscriber;
    const told =
      error instanceof EventLogError
        ? error
        : new StorageFailedError(`the daemon failed: ${String(error)}`, 'not-committed');
    this.#writer.message({ type: 'ended', subscription: number, error: errorToWire(told) });
    this.close();
  }

  /** Ends it: nobody listens any more. */
  close(): void {
    if (this.isOver) return;
    this.#state = 'ended';
    this.#options.catchUp.remove(this.#owner);
    this.#owner.left();
    this.#options.subscriber.onEnd();
  }
}
