/**
 * The wire side of one subscription: what it asks for, and what becomes of what comes.
 *
 * @module
 */
import { errorFromWire } from '../shared/error-wire.js';
import { AbortedError, EventLogError, ProtocolError } from '../shared/errors.js';
import { type Push, rowCredit } from '../shared/protocol.js';
import { onAbort } from './abort-signals.js';
import type { Submission } from './call.js';
import { CreditWindow } from './credit-window.js';
import { decodeText } from './event-text.js';
import type { Followed, PushRow } from './followed.js';
import { Inbox, type InboxOwner } from './inbox.js';
import { RowJoiner } from './row-joiner.js';

/** Told of what a feed needs. */
export interface FeedOwner {
  /** The daemon may send so much more. */
  grant(feed: Feed, credit: number): void;
  /** The daemon ended it for a reason that passes: to be asked for again. */
  again(feed: Feed): void;
  /** The daemon is to end it. */
  unsubscribe(feed: Feed): void;
  /** No message of the daemon concerns it any more. */
  leave(feed: Feed): void;
}

/**
 * Where a feed is: `waiting` to be asked for; `asked`, not answered yet; `following` after the
 * answer; `leaving` when it is to be ended as soon as it is answered; `over` at the end.
 */
type FeedState = 'waiting' | 'asked' | 'following' | 'leaving' | 'over';

const NEXT: Readonly<Record<FeedState, readonly FeedState[]>> = {
  waiting: ['asked', 'over'],
  asked: ['following', 'waiting', 'leaving', 'over'],
  following: ['waiting', 'over'],
  leaving: ['over'],
  over: [],
};

/** A subscription, as those see it who route messages and ask the daemon. */
export interface Feed {
  readonly number: number;
  /** What to ask the daemon for now, and the number of the attempt. */
  ask(window: number): { readonly request: Submission; readonly attempt: number };
  /** The daemon said yes, perhaps after what it sent first. */
  answered(attempt: number): void;
  /** The daemon said no, or the request did not get there. */
  refused(attempt: number, error: Error): void;
  /** A message of the daemon. What it cannot be ends the subscription. */
  message(push: Push): void;
  /** The connection ended. */
  lost(): void;
  /** Ends at once; with an error the iteration throws it. */
  drop(error: Error | null): void;
}

/** Invariant: messages are of the connection on which the feed was asked for last. */
export class SubscriptionFeed<Item, Place> implements Feed, InboxOwner {
  readonly number: number;
  readonly inbox: Inbox<Item, Place>;
  readonly #followed: Followed<Item, Place>;
  readonly #owner: FeedOwner;
  readonly #credit = new CreditWindow();
  #joiner = new RowJoiner<PushRow>();
  #state: FeedState = 'waiting';
  #attempt = 0;
  #ignoreSignal: (() => void) | null = null;

  constructor(
    number: number,
    followed: Followed<Item, Place>,
    { owner, place }: { readonly owner: FeedOwner; readonly place: Place },
  ) {
    this.number = number;
    this.#followed = followed;
    this.#owner = owner;
    this.inbox = new Inbox(this, place);
  }

  /** Ends with the signal. */
  endWith(signal: AbortSignal): void {
    const abort = (): void => {
      this.drop(new AbortedError('the subscription was aborted', 'not-committed', signal.reason));
    };
    if (signal.aborted) abort();
    else this.#ignoreSignal = onAbort(signal, abort);
  }

  ask(window: number): { readonly request: Submission; readonly attempt: number } {
    this.#moveTo('asked');
    this.#attempt += 1;
    const credit = this.#credit.open(window);
    const request = { ...this.#followed.ask(), subscription: this.number, credit };
    return { request, attempt: this.#attempt };
  }

  answered(attempt: number): void {
    if (attempt !== this.#attempt) return;
    if (this.#state === 'asked') {
      this.#moveTo('following');
    } else if (this.#state === 'leaving') {
      this.#moveTo('over');
      this.#owner.unsubscribe(this);
    }
  }

  refused(attempt: number, error: Error): void {
    if (attempt === this.#attempt && this.#state === 'asked') this.#ended(error);
  }

  message(push: Push): void {
    try {
      this.#take(push);
    } catch (error) {
      this.drop(error as Error);
    }
  }

  lost(): void {
    this.#joiner = new RowJoiner();
    if (this.#state !== 'waiting') this.#moveTo('waiting');
    this.inbox.disconnected();
  }

  drop(error: Error | null): void {
    this.#owner.leave(this);
    switch (this.#state) {
      case 'waiting':
        this.#moveTo('over');
        break;
      case 'asked':
        this.#moveTo('leaving');
        break;
      case 'following':
        this.#moveTo('over');
        this.#owner.unsubscribe(this);
        break;
      case 'leaving':
      case 'over':
        break;
    }
    this.inbox.drop(error);
  }

  taken(credit: number): void {
    const granted = this.#credit.take(credit);
    const isFollowing = this.#state === 'asked' || this.#state === 'following';
    if (granted > 0 && isFollowing) this.#owner.grant(this, granted);
  }

  unreadable(error: Error): void {
    this.drop(error);
  }

  over(): void {
    this.#ignoreSignal?.();
    this.#ignoreSignal = null;
  }

  #take(push: Push): void {
    // Its answer may be on its way still; it knows of the subscription all the same.
    this.inbox.connected();
    switch (push.type) {
      case 'push':
        this.#takeRows(push.rows, push.split === true);
        return;
      case 'progress':
        this.inbox.progress(this.#followed.progress(push), push.caughtUp === true);
        return;
      case 'ended':
        this.#ended(errorFromWire(push.error, () => ({})));
        return;
    }
  }

  #takeRows(rows: readonly PushRow[], isLastSplit: boolean): void {
    if (!Array.isArray(rows)) throw new ProtocolError('a push has no rows', 'unknown');
    for (const [index, row] of rows.entries()) {
      const text = textOf(row);
      if (text === null) {
        this.#receive(row, null);
      } else {
        const whole = this.#joiner.add(row, text, isLastSplit && index === rows.length - 1);
        if (whole !== null) this.#receive(whole.row, whole.text);
      }
    }
  }

  /** The text becomes a string at once: bytes would keep all that came with them. */
  #receive(row: PushRow, text: Uint8Array | null): void {
    const credit = rowCredit(text?.length ?? 0);
    this.#credit.hold(credit);
    const received = this.#followed.receive(row, text === null ? null : decodeText(text));
    if (received === null) this.taken(credit);
    else this.inbox.put({ ...received, credit });
  }

  #ended(error: Error): void {
    if (error instanceof EventLogError && error.retryable) {
      this.lost();
      this.#owner.again(this);
    } else {
      this.#owner.leave(this);
      this.#moveTo('over');
      this.inbox.end(this.#followed.refusal(error));
    }
  }

  #moveTo(next: FeedState): void {
    if (!NEXT[this.#state].includes(next)) {
      throw new Error(`subscription ${this.number} cannot go from ${this.#state} to ${next}`);
    }
    this.#state = next;
  }
}

/** The text of a row, or the next part of it; null for a deletion. */
function textOf(row: PushRow): Uint8Array | null {
  const event = 'streamId' in row ? ('event' in row ? row.event : null) : row;
  if (event === null) return null;
  if (event.text instanceof Uint8Array) return event.text;
  throw new ProtocolError('a row has no text', 'unknown');
}
