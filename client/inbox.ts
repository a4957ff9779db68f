/**
 * What a subscription has received and its consumer has not taken yet.
 *
 * @module
 */
import { AbortedError } from '../shared/errors.js';
import type { SubscriptionState } from './types.js';

/** Told of what the consumer does. */
export interface InboxOwner {
  /** The consumer took a row of that credit. */
  taken(credit: number): void;
  /** A row cannot be read. To be answered by `drop`. */
  unreadable(error: Error): void;
  /** Nothing more will be handed out. Called once. */
  over(): void;
}

/** A row that was received. */
export interface InboxRow<Item, Place> {
  /** Makes what the consumer gets. */
  readonly read: () => Item;
  /** The place behind it; null if it does not move the place. */
  readonly place: Place | null;
  readonly credit: number;
}

type Entry<Item, Place> =
  | { readonly kind: 'row'; readonly row: InboxRow<Item, Place> }
  | { readonly kind: 'progress'; readonly place: Place }
  | { readonly kind: 'end'; readonly error: Error };

/** Somebody who waits. */
interface Waiter<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (error: Error) => void;
}

const NEXT: Readonly<Record<SubscriptionState, readonly SubscriptionState[]>> = {
  connecting: ['catching-up', 'ended'],
  'catching-up': ['live', 'connecting', 'ended'],
  live: ['connecting', 'ended'],
  ended: [],
};

/**
 * Invariants: what was received is handed out in its order; the place is that behind what was
 * handed out, and moves with it; while the consumer waits there is no row; in `ended` there is
 * neither. `#present`, where it is set, is in the queue.
 */
export class Inbox<Item, Place> {
  readonly #owner: InboxOwner;
  #state: SubscriptionState = 'connecting';
  #place: Place;
  #entries: Entry<Item, Place>[] = [];
  readonly #takers: Waiter<IteratorResult<Item, undefined>>[] = [];
  #isIterated = false;
  /** The progress with which the subscription comes to the present, when that is handed out. */
  #present: Entry<Item, Place> | null = null;
  #presentWaiters: Waiter<void>[] = [];
  /** Why nothing more comes, once that is known. */
  #endError: Error | null = null;
  /** The error that the iteration still has to throw. */
  #unthrown: Error | null = null;

  constructor(owner: InboxOwner, place: Place) {
    this.#owner = owner;
    this.#place = place;
  }

  get state(): SubscriptionState {
    return this.#state;
  }

  /** The place behind what was handed out. */
  get place(): Place {
    return this.#place;
  }

  /** The daemon knows of the subscription. */
  connected(): void {
    if (this.#state === 'connecting') this.#moveTo('catching-up');
  }

  /** The daemon no longer does; what was received stays. */
  disconnected(): void {
    this.#present = null;
    if (this.#state !== 'connecting') this.#moveTo('connecting');
  }

  put(row: InboxRow<Item, Place>): void {
    this.#entries.push({ kind: 'row', row });
    this.#settle();
  }

  progress(place: Place, isPresent: boolean): void {
    const entry = { kind: 'progress', place } as const;
    const last = this.#entries.at(-1);
    // However much is left out behind a row that nobody takes, it is one entry.
    if (last?.kind === 'progress' && last !== this.#present) this.#entries.pop();
    this.#entries.push(entry);
    if (isPresent && this.#state === 'catching-up') {
      if (this.#isIterated) this.#present = entry;
      else this.#live();
    }
    this.#settle();
  }

  /** Nothing more comes: once all is handed out the iteration throws that. */
  end(error: Error): void {
    this.#endError = error;
    this.#entries.push({ kind: 'end', error });
    if (this.#present === null) this.#failPresent(error);
    this.#settle();
  }

  /** Ends at once, whatever waits. With an error the iteration throws it. */
  drop(error: Error | null): void {
    if (this.#state === 'ended') return;
    this.#present = null;
    this.#finish(error);
  }

  next(): Promise<IteratorResult<Item, undefined>> {
    this.#isIterated = true;
    return new Promise((resolve, reject) => {
      if (this.#state === 'ended') {
        this.#endTaker({ resolve, reject });
      } else {
        this.#takers.push({ resolve, reject });
        this.#settle();
      }
    });
  }

  caughtUp(): Promise<void> {
    const present = new Promise<void>((resolve, reject) => {
      if (this.#state === 'live') resolve();
      else if (this.#endError !== null && this.#present === null) reject(this.#endError);
      else this.#presentWaiters.push({ resolve, reject });
    });
    // A caller may look at it late, or never.
    present.catch(() => {});
    return present;
  }

  /** Hands out what may be handed out now. */
  #settle(): void {
    for (;;) {
      const first = this.#entries[0];
      if (first === undefined) return;
      switch (first.kind) {
        case 'row':
          if (this.#takers.length === 0) return;
          this.#entries.shift();
          this.#handOut(first.row);
          break;
        case 'progress':
          this.#entries.shift();
          this.#place = first.place;
          if (first === this.#present) this.#live();
          break;
        case 'end':
          this.#finish(first.error);
          return;
      }
    }
  }

  #handOut({ read, place, credit }: InboxRow<Item, Place>): void {
    let value: Item;
    try {
      value = read();
    } catch (error) {
      this.#owner.unreadable(error as Error);
      return;
    }
    if (place !== null) this.#place = place;
    this.#takers.shift()?.resolve({ value, done: false });
    this.#owner.taken(credit);
  }

  #live(): void {
    this.#present = null;
    this.#moveTo('live');
    const waiters = this.#presentWaiters;
    this.#presentWaiters = [];
    for (const { resolve } of waiters) resolve();
  }

  #failPresent(error: Error): void {
    const waiters = this.#presentWaiters;
    this.#presentWaiters = [];
    for (const { reject } of waiters) reject(error);
  }

  #finish(error: Error | null): void {
    this.#moveTo('ended');
    this.#entries = [];
    this.#unthrown = error;
    this.#endError ??= error ?? closedError();
    this.#failPresent(this.#endError);
    for (const taker of this.#takers.splice(0)) this.#endTaker(taker);
    this.#owner.over();
  }

  /** The first one after the end is told of the error. */
  #endTaker(taker: Waiter<IteratorResult<Item, undefined>>): void {
    const error = this.#unthrown;
    this.#unthrown = null;
    if (error === null) taker.resolve({ value: undefined, done: true });
    else taker.reject(error);
  }

  #moveTo(next: SubscriptionState): void {
    if (!NEXT[this.#state].includes(next)) {
      throw new Error(`the subscription cannot go from ${this.#state} to ${next}`);
    }
    this.#state = next;
  }
}

function closedError(): Error {
  return new AbortedError('the subscription was closed', 'not-committed');
}
