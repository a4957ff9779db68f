/**
 * What differs between following a stream and following everything.
 *
 * @module
 */
import type { Push, RequestOf, WireEntry, WireEvent } from '../shared/protocol.js';
import type { Fields } from './call.js';

type SubscribeType = 'turns.subscribe' | 'runs.subscribe' | 'subscribeAll';

/** What a subscription asks for, without its number and credit. */
export type Asked = {
  [T in SubscribeType]: Fields<Omit<RequestOf<T>, 'id' | 'subscription' | 'credit'>>;
}[SubscribeType];

/** A row of a push. */
export type PushRow = WireEvent | WireEntry;

/** The message that says how far a subscription has come. */
export type Progress = Extract<Push, { readonly type: 'progress' }>;

/** A row on its way to the consumer. */
export interface ReceivedRow<Item, Place> {
  /** Makes what the consumer gets, when it gets it. */
  readonly read: () => Item;
  /** The place behind the row; null where rows of equal seq follow. */
  readonly place: Place | null;
}

/** Knows the place behind what was received, and reads rows. */
export interface Followed<Item, Place> {
  /** What to ask a new connection for: all behind the place. Rows that come again are dropped. */
  ask(): Asked;
  /**
   * A row came.
   *
   * @param text its whole text; null if it has none
   * @returns null if it came before
   * @throws ProtocolError when it is no row of this subscription
   */
  receive(row: PushRow, text: string | null): ReceivedRow<Item, Place> | null;
  /** Everything up to the place that this returns came or is not asked for. */
  progress(message: Progress): Place;
  /** The error that a refusal means here. */
  refusal(error: Error): Error;
}
