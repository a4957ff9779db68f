/**
 * A connected client.
 *
 * @module
 */
import { ProtocolError } from '../shared/errors.js';
import { requireCallOptions } from './arguments.js';
import type { Connection } from './connection.js';
import type { ListenerTable } from './listeners.js';
import { RunJournal } from './runs.js';
import { subscribeAll } from './subscribing.js';
import type { LogSubscription } from './subscription.js';
import { SubscriptionTable } from './subscription-table.js';
import { TurnJournal } from './turns.js';
import type {
  CallOptions,
  ConnectionListeners,
  ConnectionState,
  DaemonStats,
  SubscribeAllOptions,
} from './types.js';

/**
 * A client of a daemon, made by `connect`. It holds one connection, carries any number of calls
 * at once, and comes back by itself when the daemon does.
 *
 * @example
 * await using log = await connect({ dir: './data' });
 * await log.turns.append('s1', { event: 'submitted', content: 'hi' });
 */
export class EventLog {
  /** The journal of turns: one stream per chat session. */
  readonly turns: TurnJournal;
  /** The journal of runs: one stream per thread. */
  readonly runs: RunJournal;
  readonly #connection: Connection;
  readonly #listeners: ListenerTable;
  readonly #subscriptions: SubscriptionTable;

  constructor(connection: Connection, listeners: ListenerTable) {
    this.#connection = connection;
    this.#listeners = listeners;
    this.#subscriptions = new SubscriptionTable(connection);
    this.turns = new TurnJournal(connection, this.#subscriptions);
    this.runs = new RunJournal(connection, this.#subscriptions);
  }

  /**
   * The state of the connection. Calls may be made in all but `closed`: they wait for `ready`.
   *
   * @example
   * if (log.state !== 'ready') showBanner(`event log: ${log.state}`);
   */
  get state(): ConnectionState {
    return this.#connection.state;
  }

  /**
   * Listens to the connection's loss and return.
   *
   * @returns a function that ends the listening
   * @example
   * const stop = log.on('disconnect', (error) => logger.warn(error));
   * log.on('reconnect', () => logger.info('the event log is back'));
   */
  on<Name extends keyof ConnectionListeners>(
    name: Name,
    listener: ConnectionListeners[Name],
  ): () => void {
    return this.#listeners.add(name, listener);
  }

  /**
   * Follows all streams: every event and every deletion after a position, in the order in which
   * they were committed. Without a position, what comes from now on.
   *
   * @throws from the iteration `PositionExpiredError` when the daemon's log no longer goes back to
   *   the position
   * @example
   * for await (const { position, journal, streamId, event } of log.subscribeAll()) {
   *   console.log(position, journal, streamId, event ?? 'deleted');
   * }
   */
  subscribeAll(options: SubscribeAllOptions = {}): LogSubscription {
    return subscribeAll(this.#subscriptions, options);
  }

  /**
   * The daemon's counters and state.
   *
   * @example
   * const { appends, fsyncs, health } = await log.stats();
   */
  async stats(options: CallOptions = {}): Promise<DaemonStats> {
    requireCallOptions(options);
    const { stats } = await this.#connection.submit({ type: 'stats' }, options);
    if (stats === undefined) throw new ProtocolError('the daemon answered without its stats');
    return stats as DaemonStats;
  }

  /**
   * Takes no new calls, waits for the answers of those under way up to `timeoutMs` of `connect`,
   * and ends the connection. What is unanswered by then gets `ClientClosedError`, and
   * subscriptions get it at once.
   *
   * @example
   * await log.close();
   */
  close(): Promise<void> {
    return this.#connection.close();
  }

  /** The same as `close`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
