/**
 * Beginning subscriptions: checks of what callers pass, and what is followed.
 *
 * @module
 */
import type { Cursor } from '../shared/cursor.js';
import { InvalidArgumentError } from '../shared/errors.js';
import type { RunEvent, TurnEvent } from '../shared/events.js';
import {
  requireAfter,
  requireCallOptions,
  requireId,
  requireInteger,
  requireNames,
  requireString,
} from './arguments.js';
import { FollowedLog } from './followed-log.js';
import { type AskedStream, FollowedStream } from './followed-stream.js';
import { runEventOf, turnEventOf } from './records.js';
import { LogSubscription, StreamSubscription } from './subscription.js';
import type { SubscriptionTable } from './subscription-table.js';
import type {
  RunSubscribeOptions,
  SubscribeAfter,
  SubscribeAllOptions,
  TurnSubscribeOptions,
} from './types.js';

/** The start of a stream, whatever life it has. */
const START: Cursor = { generation: 0, seq: 0 };

/** Follows a session. */
export function subscribeTurns(
  table: SubscriptionTable,
  sessionId: string,
  options: TurnSubscribeOptions,
): StreamSubscription<TurnEvent> {
  requireId('session', sessionId);
  requireCallOptions(options);
  const { after, signal } = options;
  requireAfter(after);
  const asked: AskedStream = { type: 'turns.subscribe', sessionId, after: wireAfterOf(after) };
  const followed = new FollowedStream<TurnEvent>(asked, turnEventOf);
  return new StreamSubscription(table.open(followed, placeOf(after), signal));
}

/** Follows a thread. */
export function subscribeRuns(
  table: SubscriptionTable,
  threadId: string,
  options: RunSubscribeOptions,
): StreamSubscription<RunEvent> {
  requireId('thread', threadId);
  requireCallOptions(options);
  const { after, runId, categories, eventTypes, taskId, signal } = options;
  requireAfter(after);
  if (runId !== undefined) requireId('run', runId);
  requireNames('categories', categories);
  requireNames('eventTypes', eventTypes);
  requireString('taskId', taskId);
  const asked: AskedStream = {
    type: 'runs.subscribe',
    threadId,
    after: wireAfterOf(after),
    runId,
    // They are asked for again after a lost connection, whatever became of the caller's arrays.
    categories: categories?.slice(),
    eventTypes: eventTypes?.slice(),
    taskId,
  };
  const followed = new FollowedStream<RunEvent>(asked, runEventOf);
  return new StreamSubscription(table.open(followed, placeOf(after), signal));
}

/** Follows everything. */
export function subscribeAll(
  table: SubscriptionTable,
  options: SubscribeAllOptions,
): LogSubscription {
  requireCallOptions(options);
  const { afterPosition, journal, signal } = options;
  requireInteger('afterPosition', afterPosition, 0);
  if (journal !== undefined && journal !== 'turns' && journal !== 'runs') {
    throw new InvalidArgumentError('journal', "journal must be 'turns' or 'runs'");
  }
  const followed = new FollowedLog({ type: 'subscribeAll', afterPosition, journal });
  return new LogSubscription(table.open(followed, afterPosition ?? 0, signal));
}

/** A copy, for the same reason as those of the filters. */
function wireAfterOf(after: SubscribeAfter | undefined): SubscribeAfter | undefined {
  return typeof after === 'object' ? placeOf(after) : after;
}

function placeOf(after: SubscribeAfter | undefined): Cursor {
  return typeof after === 'object' ? { generation: after.generation, seq: after.seq } : START;
}
