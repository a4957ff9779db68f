/**
 * The client of eventlogd.
 *
 * @example
 * import { connect } from 'eventlogd';
 *
 * await using log = await connect({ dir: './data' });
 * const event = await log.turns.append('s1', { event: 'submitted', content: 'hi' });
 * console.log(event.seq);
 *
 * @module
 */
export { type Cursor, formatCursor, parseCursor } from '../shared/cursor.js';
export * from '../shared/errors.js';
export type {
  Journal,
  MalformedLine,
  NewRunEvent,
  NewTurnEvent,
  RunEvent,
  TurnEvent,
} from '../shared/events.js';
export { PROTOCOL_VERSION } from '../shared/protocol.js';
export { connect } from './connect.js';
export type { EventLog } from './event-log.js';
export { detailsOf } from './records.js';
export type { RunJournal } from './runs.js';
export {
  lastEventCursor,
  lastEventPosition,
  type SseEnd,
  type SseOptions,
  type SseSubscription,
  serveSse,
} from './sse.js';
export type { LogSubscription, StreamSubscription, Subscription } from './subscription.js';
export type { TurnJournal } from './turns.js';
export type {
  AppendOptions,
  CallOptions,
  ConnectionListeners,
  ConnectionState,
  ConnectOptions,
  DaemonStats,
  EventDetails,
  EventListOptions,
  LogEntry,
  MessageListOptions,
  PendingOptions,
  PendingTurn,
  PutIfAbsentResult,
  RunSubscribeOptions,
  SubscribeAfter,
  SubscribeAllOptions,
  SubscriptionState,
  TurnAppendOptions,
  TurnCollision,
  TurnPage,
  TurnReadOptions,
  TurnStates,
  TurnSubscribeOptions,
} from './types.js';
