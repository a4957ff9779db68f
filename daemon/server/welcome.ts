/**
 * What the daemon says to a client that has said hello.
 *
 * @module
 */
import {
  BATCH_EVENTS_MAX,
  CONNECTION_BYTES_MAX,
  CONNECTION_CALLS_MAX,
} from '../../shared/limits.js';
import { PROTOCOL_VERSION, type Welcome } from '../../shared/protocol.js';
import type { ServerContext } from './context.js';

/** The limits that bind the client, and whether it is known. */
export function welcomeOf(context: ServerContext, clientId: string): Welcome {
  const { eventBytesMax, batchBytesMax, frameBytesMax } = context.limits;
  return {
    type: 'hello',
    protocol: PROTOCOL_VERSION,
    version: context.version,
    capabilities: ['turns', 'runs', 'subscriptions', 'heartbeats'],
    epoch: context.epoch,
    limits: {
      eventBytesMax,
      batchBytesMax,
      batchEventsMax: BATCH_EVENTS_MAX,
      frameBytesMax,
      callsInFlightMax: CONNECTION_CALLS_MAX,
      bytesInFlightMax: CONNECTION_BYTES_MAX,
    },
    known: context.store.retries.knows(clientId),
  };
}
