/**
 * The one who subscribed, as its subscription knows it.
 *
 * @module
 */
import type { PushSink } from './push-writer.js';

/** Where pushes go, and whether more should. */
export interface SubscriberSink extends PushSink {
  /** Whether little enough waits to be sent. */
  readonly hasRoom: boolean;
}

/**
 * What an open subscription does. `behind`: waits for its turn or reads a page; `starved`: has no
 * credit; `live`: gets what is committed.
 */
export type SubscriptionState = 'opening' | 'behind' | 'starved' | 'live';

/** A subscriber on its connection. */
export interface Subscriber {
  /** The client's number of the subscription. */
  readonly number: number;
  /** What may be sent before it grants more. */
  readonly credit: number;
  readonly sink: SubscriberSink;
  /** Told once when the subscription is over, for whatever reason. */
  readonly onEnd: () => void;
}
