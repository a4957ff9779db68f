/**
 * The journal of runs: one stream per thread, whose events belong to runs of an agent.
 *
 * @module
 */
import type { Cursor } from '../shared/cursor.js';
import { InvalidArgumentError } from '../shared/errors.js';
import type { NewRunEvent, RunEvent } from '../shared/events.js';
import type { WholeAnswer } from './answer.js';
import {
  requireCallOptions,
  requireId,
  requireInteger,
  requireNames,
  requireString,
} from './arguments.js';
import type { Connection } from './connection.js';
import { encodeEvent } from './event-text.js';
import { putRunTexts, withPlace } from './run-appends.js';
import { subscribeRuns } from './subscribing.js';
import type { StreamSubscription } from './subscription.js';
import type { SubscriptionTable } from './subscription-table.js';
import type {
  AppendOptions,
  CallOptions,
  EventListOptions,
  MessageListOptions,
  PutIfAbsentResult,
  RunSubscribeOptions,
} from './types.js';

const MESSAGES_DEFAULT = 50;
const EVENTS_DEFAULT = 500;

/** The journal of runs of a connected client, as `log.runs`. */
export class RunJournal {
  readonly #connection: Connection;
  readonly #subscriptions: SubscriptionTable;

  constructor(connection: Connection, subscriptions: SubscriptionTable) {
    this.#connection = connection;
    this.#subscriptions = subscriptions;
  }

  /**
   * Appends an event to a run. Resolves when it is durable and visible to every reader.
   *
   * @returns the record as it stands on disk, with `seq` and `created_at`
   * @example
   * const event = await log.runs.put({
   *   thread_id: 't1',
   *   run_id: 'r1',
   *   event_type: 'llm.human.input',
   *   category: 'message',
   *   content: 'hi',
   * });
   */
  async put(event: NewRunEvent, options: AppendOptions = {}): Promise<RunEvent> {
    const { events } = await putRunTexts(this.#connection, [encodeEvent(event)], options);
    return events[0] as RunEvent;
  }

  /**
   * Appends events together: in every answer they are all there or none, after a crash too. They
   * may be of several runs and threads.
   *
   * @returns their records in input order
   * @example
   * const [first, second] = await log.runs.putBatch([
   *   { thread_id: 't1', run_id: 'r1', event_type: 'run.start', category: 'trace' },
   *   { thread_id: 't1', run_id: 'r2', event_type: 'run.start', category: 'trace' },
   * ]);
   */
  async putBatch(events: readonly NewRunEvent[], options: AppendOptions = {}): Promise<RunEvent[]> {
    requireCallOptions(options);
    if (!Array.isArray(events)) throw new InvalidArgumentError('events', 'events must be an array');
    if (events.length === 0) return [];
    const texts = Array.from(events, (event, index) =>
      withPlace(events, index, () => encodeEvent(event)),
    );
    const result = await putRunTexts(this.#connection, texts, options);
    return result.events;
  }

  /**
   * Appends an event unless its run has one of the same `event_type` already. Of several processes
   * that try at once one creates it and all get it.
   *
   * @example
   * const { event, created } = await log.runs.putIfAbsent({
   *   thread_id: 't1',
   *   run_id: 'r1',
   *   event_type: 'run.delivery',
   *   category: 'outputs',
   * });
   */
  async putIfAbsent(event: NewRunEvent, options: AppendOptions = {}): Promise<PutIfAbsentResult> {
    const texts = [encodeEvent(event)];
    const { events, created } = await putRunTexts(this.#connection, texts, options, 'absent');
    return { event: events[0] as RunEvent, created };
  }

  /**
   * Messages (events of the category `message`) of a whole thread, in seq order: with `beforeSeq`
   * the last ones below it, else with `afterSeq` the first ones above it, else the latest.
   *
   * @example
   * const page = await log.runs.listMessages('t1', { limit: 20 });
   * const older = await log.runs.listMessages('t1', { limit: 20, beforeSeq: page[0]?.seq });
   */
  async listMessages(threadId: string, options: MessageListOptions = {}): Promise<RunEvent[]> {
    requireId('thread', threadId);
    const { limit = MESSAGES_DEFAULT, beforeSeq, afterSeq } = requirePage(options);
    const answer = await this.#connection.submit(
      { type: 'runs.listMessages', threadId, limit, beforeSeq, afterSeq },
      options,
    );
    return runEventsOf(answer);
  }

  /**
   * The first events of a run that pass the filters, in seq order.
   *
   * @example
   * const ends = await log.runs.listEvents('t1', 'r1', { eventTypes: ['run.end'] });
   */
  async listEvents(
    threadId: string,
    runId: string,
    options: EventListOptions = {},
  ): Promise<RunEvent[]> {
    requireId('thread', threadId);
    requireId('run', runId);
    const { limit = EVENTS_DEFAULT, afterSeq } = requirePage(options);
    requireNames('eventTypes', options.eventTypes);
    requireString('taskId', options.taskId);
    const answer = await this.#connection.submit(
      {
        type: 'runs.listEvents',
        threadId,
        runId,
        eventTypes: options.eventTypes === undefined ? undefined : [...options.eventTypes],
        taskId: options.taskId,
        afterSeq,
        limit,
      },
      options,
    );
    return runEventsOf(answer);
  }

  /**
   * Messages of one run, in seq order. Both bounds apply; with `afterSeq` the first ones, else the
   * last.
   *
   * @example
   * const messages = await log.runs.listMessagesByRun('t1', 'r1', { afterSeq: 10 });
   */
  async listMessagesByRun(
    threadId: string,
    runId: string,
    options: MessageListOptions = {},
  ): Promise<RunEvent[]> {
    requireId('thread', threadId);
    requireId('run', runId);
    const { limit = MESSAGES_DEFAULT, beforeSeq, afterSeq } = requirePage(options);
    const answer = await this.#connection.submit(
      { type: 'runs.listMessagesByRun', threadId, runId, limit, beforeSeq, afterSeq },
      options,
    );
    return runEventsOf(answer);
  }

  /**
   * The number of messages of a thread.
   *
   * @example
   * const count = await log.runs.countMessages('t1');
   */
  async countMessages(threadId: string, options: CallOptions = {}): Promise<number> {
    requireId('thread', threadId);
    requireCallOptions(options);
    const answer = await this.#connection.submit({ type: 'runs.countMessages', threadId }, options);
    return answer.count ?? 0;
  }

  /**
   * Every thread that has a run file, sorted by code unit.
   *
   * @example
   * for (const threadId of await log.runs.threadIds()) await log.runs.countMessages(threadId);
   */
  async threadIds(options: CallOptions = {}): Promise<string[]> {
    requireCallOptions(options);
    const answer = await this.#connection.submit({ type: 'runs.threadIds' }, options);
    return [...answer.ids];
  }

  /**
   * Follows a thread: hands out its events after a place that pass the filters, and then each new
   * one as it becomes durable. Goes on by itself after a lost connection.
   *
   * @throws what ends it, from the iteration: `StreamDeletedError` when the thread is deleted,
   *   `CursorExpiredError` when the cursor is of an earlier life of it
   * @example
   * const subscription = log.runs.subscribe('t1', { runId: 'r1', categories: ['message'] });
   * for await (const event of subscription) console.log(event.seq, event.content);
   */
  subscribe(threadId: string, options: RunSubscribeOptions = {}): StreamSubscription<RunEvent> {
    return subscribeRuns(this.#subscriptions, threadId, options);
  }

  /**
   * The cursor behind a thread's last event; `{ generation: 0, seq: 0 }` if it does not exist.
   *
   * @example
   * const { seq } = await log.runs.head('t1');
   */
  async head(threadId: string, options: CallOptions = {}): Promise<Cursor> {
    requireId('thread', threadId);
    requireCallOptions(options);
    const answer = await this.#connection.submit({ type: 'runs.head', threadId }, options);
    return { generation: answer.head?.generation ?? 0, seq: answer.head?.seq ?? 0 };
  }

  /**
   * Deletes a thread with all its runs. The next event begins another life of it, at seq 1.
   *
   * @returns the number of events that it had
   * @example
   * const deleted = await log.runs.deleteByThread('t1');
   */
  async deleteByThread(threadId: string, options: CallOptions = {}): Promise<number> {
    requireId('thread', threadId);
    requireCallOptions(options);
    const answer = await this.#connection.submit(
      { type: 'runs.deleteByThread', threadId },
      options,
    );
    return answer.count ?? 0;
  }

  /**
   * Deletes the events of one run. Their seqs are never used again within the thread's life.
   *
   * @returns the number of events deleted
   * @example
   * const deleted = await log.runs.deleteByRun('t1', 'r1');
   */
  async deleteByRun(threadId: string, runId: string, options: CallOptions = {}): Promise<number> {
    requireId('thread', threadId);
    requireId('run', runId);
    requireCallOptions(options);
    const answer = await this.#connection.submit(
      { type: 'runs.deleteByRun', threadId, runId },
      options,
    );
    return answer.count ?? 0;
  }
}

function requirePage<Options extends MessageListOptions | EventListOptions>(
  options: Options,
): MessageListOptions {
  requireCallOptions(options);
  const { limit, beforeSeq, afterSeq } = options as MessageListOptions;
  requireInteger('limit', limit, 1);
  requireInteger('beforeSeq', beforeSeq, 0);
  requireInteger('afterSeq', afterSeq, 0);
  return { limit, beforeSeq, afterSeq };
}

function runEventsOf(answer: WholeAnswer): RunEvent[] {
  return answer.rows.map(({ event }) => event as RunEvent);
}
