/**
 * The journal of turns: one stream per chat session.
 *
 * @module
 */

import type { Cursor } from '../shared/cursor.js';
import type { NewTurnEvent, TurnEvent } from '../shared/events.js';
import { requireCallOptions, requireId, requireInteger, requireString } from './arguments.js';
import type { Connection } from './connection.js';
import { encodeEvent } from './event-text.js';
import { subscribeTurns } from './subscribing.js';
import type { StreamSubscription } from './subscription.js';
import type { SubscriptionTable } from './subscription-table.js';
import { pendingTurnsOf, turnStatesOf } from './turn-answers.js';
import { appendTurnText } from './turn-appends.js';
import type {
  CallOptions,
  PendingOptions,
  PendingTurn,
  TurnAppendOptions,
  TurnPage,
  TurnReadOptions,
  TurnStates,
  TurnSubscribeOptions,
} from './types.js';

/** The journal of turns of a connected client, as `log.turns`. */
export class TurnJournal {
  readonly #connection: Connection;
  readonly #subscriptions: SubscriptionTable;

  constructor(connection: Connection, subscriptions: SubscriptionTable) {
    this.#connection = connection;
    this.#subscriptions = subscriptions;
  }

  /**
   * Appends an event to a session. Resolves when it is durable and visible to every reader.
   *
   * @param event needs `event`; all other keys are the caller's own and stay as they are. What it
   *   lacks of `version`, `session_id`, `turn_id` and `created_at` is added, and `seq`
   * @returns the record as it stands on disk
   * @example
   * const submitted = await log.turns.append('s1', { event: 'submitted', content: 'hi' });
   * await log.turns.append(
   *   's1',
   *   { event: 'completed', turn_id: submitted.turn_id },
   *   { unlessTerminal: true },
   * );
   */
  async append(
    sessionId: string,
    event: NewTurnEvent,
    options: TurnAppendOptions = {},
  ): Promise<TurnEvent> {
    requireId('session', sessionId);
    return await appendTurnText(this.#connection, { sessionId }, encodeEvent(event), options);
  }

  /**
   * Appends an event that belongs to a stream of the session, such as one run of an agent. The
   * event gets this `stream_id`, and, unless it has a turn of its own, the turn of the stream's
   * latest event; if there is none, a new turn. Two processes racing on one stream get one turn.
   *
   * @example
   * await log.turns.appendForStream('s1', 'stream-7', { event: 'worker_started' });
   */
  async appendForStream(
    sessionId: string,
    streamId: string,
    event: NewTurnEvent,
    options: TurnAppendOptions = {},
  ): Promise<TurnEvent> {
    requireId('session', sessionId);
    // `undefined` would mean an append without a stream.
    requireString('streamId', streamId ?? null);
    const target = { sessionId, streamId };
    return await appendTurnText(this.#connection, target, encodeEvent(event), options);
  }

  /**
   * Reads a session's events in seq order; a session that does not exist has none.
   *
   * @example
   * const { events, malformed } = await log.turns.read('s1', { afterSeq: 10, limit: 100 });
   */
  async read(sessionId: string, options: TurnReadOptions = {}): Promise<TurnPage> {
    requireId('session', sessionId);
    requireCallOptions(options);
    requireInteger('afterSeq', options.afterSeq, 0);
    requireInteger('limit', options.limit, 1);
    const { afterSeq, limit } = options;
    const answer = await this.#connection.submit(
      { type: 'turns.read', sessionId, afterSeq, limit },
      options,
    );
    return {
      sessionId,
      generation: answer.head?.generation ?? answer.rows[0]?.generation ?? 0,
      events: answer.rows.map(({ event }) => event as TurnEvent),
      malformed: [...answer.malformed],
    };
  }

  /**
   * The latest event of each turn of a session, and the turns that ended more than once.
   *
   * @example
   * const { states, collisions } = await log.turns.states('s1');
   * if (states[turnId]?.event === 'completed') showAnswer();
   */
  async states(sessionId: string, options: CallOptions = {}): Promise<TurnStates> {
    requireId('session', sessionId);
    requireCallOptions(options);
    const answer = await this.#connection.submit({ type: 'turns.states', sessionId }, options);
    return turnStatesOf(answer.rows);
  }

  /**
   * The turns that have no terminal event yet, in all sessions or in one.
   *
   * @example
   * for (const { sessionId, turnId, submitted } of await log.turns.pending()) {
   *   console.log(sessionId, turnId, submitted?.content);
   * }
   */
  async pending(options: PendingOptions = {}): Promise<PendingTurn[]> {
    requireCallOptions(options);
    const { sessionId, limit } = options;
    if (sessionId !== undefined) requireId('session', sessionId);
    requireInteger('limit', limit, 1);
    const answer = await this.#connection.submit(
      { type: 'turns.pending', sessionId, limit },
      options,
    );
    return pendingTurnsOf(answer.rows);
  }

  /**
   * Follows a session: hands out its events after a place, and then each new one as it becomes
   * durable. Goes on by itself after a lost connection.
   *
   * @throws what ends it, from the iteration: `StreamDeletedError` when the session is deleted,
   *   `CursorExpiredError` when the cursor is of an earlier life of it
   * @example
   * for await (const event of log.turns.subscribe('s1', { after: 'now' })) {
   *   console.log(event.seq, event.event);
   * }
   */
  subscribe(sessionId: string, options: TurnSubscribeOptions = {}): StreamSubscription<TurnEvent> {
    return subscribeTurns(this.#subscriptions, sessionId, options);
  }

  /**
   * Every session that has a file, sorted by code unit.
   *
   * @example
   * for (const sessionId of await log.turns.sessionIds()) await log.turns.read(sessionId);
   */
  async sessionIds(options: CallOptions = {}): Promise<string[]> {
    requireCallOptions(options);
    const answer = await this.#connection.submit({ type: 'turns.sessionIds' }, options);
    return [...answer.ids];
  }

  /**
   * The cursor behind a session's last event; `{ generation: 0, seq: 0 }` if it does not exist.
   *
   * @example
   * const { seq } = await log.turns.head('s1');
   * await log.turns.append('s1', { event: 'submitted' }, { expectedSeq: seq });
   */
  async head(sessionId: string, options: CallOptions = {}): Promise<Cursor> {
    requireId('session', sessionId);
    requireCallOptions(options);
    const answer = await this.#connection.submit({ type: 'turns.head', sessionId }, options);
    return { generation: answer.head?.generation ?? 0, seq: answer.head?.seq ?? 0 };
  }

  /**
   * Deletes a session with all its files. The next append begins another life of it, at seq 1.
   *
   * @returns the number of events that it had
   * @example
   * const deleted = await log.turns.delete('s1');
   */
  async delete(sessionId: string, options: CallOptions = {}): Promise<number> {
    requireId('session', sessionId);
    requireCallOptions(options);
    const answer = await this.#connection.submit({ type: 'turns.delete', sessionId }, options);
    return answer.count ?? 0;
  }
}
