/**
 * The subscriptions of one connection: begins them, grants them credit, ends them.
 *
 * @module
 */
import { InvalidArgumentError, OverloadedError } from '../../shared/errors.js';
import { FILTERS_LENGTH_MAX, SUBSCRIPTIONS_MAX } from '../../shared/limits.js';
import type { RequestOf } from '../../shared/protocol.js';
import type { StreamName } from '../storage/layout.js';
import type { KindFilter } from '../streams/queries.js';
import { CatchUp } from '../subscriptions/catch-up.js';
import { LogSubscription } from '../subscriptions/log-subscription.js';
import { StreamSubscription } from '../subscriptions/stream-subscription.js';
import type { Subscriber, SubscriberSink, SubscriptionState } from '../subscriptions/subscriber.js';
import type { AnswerWriter } from './answer-writer.js';
import { checkId } from './appends.js';
import type { ServerContext } from './context.js';
import { sessionName, threadName } from './reads.js';

type Subscription = StreamSubscription | LogSubscription;

/** How many subscriptions are in which state. */
export type SubscriptionCounts = Record<SubscriptionState, number>;

/** The subscriptions of one connection. */
export class Subscriptions {
  readonly #context: ServerContext;
  readonly #sink: SubscriberSink;
  readonly #catchUp: CatchUp;
  readonly #open: Map<number, Subscription> = new Map();

  constructor(context: ServerContext, sink: SubscriberSink) {
    this.#context = context;
    this.#sink = sink;
    this.#catchUp = new CatchUp(context.store.pageSlots, () => sink.hasRoom);
  }

  async turns(request: RequestOf<'turns.subscribe'>, answer: AnswerWriter): Promise<void> {
    await this.#stream(sessionName(request.sessionId), request, undefined, answer);
  }

  async runs(request: RequestOf<'runs.subscribe'>, answer: AnswerWriter): Promise<void> {
    if (request.runId !== undefined) checkId('run', request.runId);
    await this.#stream(threadName(request.threadId), request, filterOf(request), answer);
  }

  async everything(request: RequestOf<'subscribeAll'>, answer: AnswerWriter): Promise<void> {
    const { hub } = this.#context.store;
    const subscription = new LogSubscription({
      afterPosition: request.afterPosition,
      journal: request.journal ?? null,
      subscriber: this.#subscriber(request),
      catchUp: this.#catchUp,
      hub,
      source: () => this.#context.store.positions,
    });
    await this.#begin(request.subscription, subscription, answer);
  }

  /** The subscriber takes so much more; nothing where the subscription is over. */
  grant(number: number, credit: number): void {
    this.#open.get(number)?.delivery.grant(credit);
  }

  /** The subscriber wants no more. */
  end(number: number): void {
    this.#open.get(number)?.delivery.close();
  }

  /** The connection may take more. */
  resume(): void {
    this.#catchUp.resume();
  }

  /** Adds the open ones to the counts. */
  count(states: SubscriptionCounts): void {
    for (const { delivery } of this.#open.values())
      if (delivery.state !== 'ended') states[delivery.state] += 1;
  }

  /** The connection is over. */
  close(): void {
    for (const subscription of this.#open.values()) subscription.delivery.close();
  }

  async #stream(
    name: StreamName,
    request: RequestOf<'turns.subscribe' | 'runs.subscribe'>,
    filter: KindFilter | undefined,
    answer: AnswerWriter,
  ): Promise<void> {
    const { hub, table, files } = this.#context.store;
    const subscription = new StreamSubscription({
      name,
      after: request.after ?? 'start',
      filter,
      subscriber: this.#subscriber(request),
      catchUp: this.#catchUp,
      hub,
      table,
      files,
    });
    await this.#begin(request.subscription, subscription, answer);
  }

  async #begin(number: number, subscription: Subscription, answer: AnswerWriter): Promise<void> {
    this.#open.set(number, subscription);
    await subscription.open();
    answer.end();
    subscription.begin();
  }

  /** Takes what a subscription needs, and gives it back when it is over. */
  #subscriber(request: SubscribeRequest): Subscriber {
    const { hub } = this.#context.store;
    const { subscription: number, credit } = request;
    if (this.#open.has(number)) {
      throw new InvalidArgumentError('subscription', `subscription ${number} is open already`);
    }
    if (hub.subscriptions >= SUBSCRIPTIONS_MAX) {
      throw new OverloadedError(`the daemon has ${SUBSCRIPTIONS_MAX} subscriptions already`);
    }
    const length = filterLength(request);
    if (hub.filtersLength + length > FILTERS_LENGTH_MAX) {
      throw new OverloadedError(
        `the filters of all subscriptions may have ${FILTERS_LENGTH_MAX} characters, ${length} more are too many`,
      );
    }
    hub.subscriptions += 1;
    hub.filtersLength += length;
    const onEnd = (): void => {
      if (!this.#open.delete(number)) return;
      hub.subscriptions -= 1;
      hub.filtersLength -= length;
    };
    return { number, credit, sink: this.#sink, onEnd };
  }
}

/** What is of interest here of any of the three requests. */
type SubscribeRequest = Pick<RequestOf<'turns.subscribe'>, 'subscription' | 'credit'> &
  Pick<RequestOf<'runs.subscribe'>, 'taskId' | 'categories' | 'eventTypes'>;

/** The characters that the daemon keeps of a request's filter. */
function filterLength({ taskId = '', categories = [], eventTypes = [] }: SubscribeRequest): number {
  return [taskId, ...categories, ...eventTypes].reduce((sum, { length }) => sum + length, 0);
}

/** Which rows a subscription to a thread asks for; undefined for all. */
function filterOf(request: RequestOf<'runs.subscribe'>): KindFilter | undefined {
  const { runId, taskId } = request;
  const categories = request.categories && new Set(request.categories);
  const eventTypes = request.eventTypes && new Set(request.eventTypes);
  const isWhole = [runId, taskId, categories, eventTypes].every((part) => part === undefined);
  if (isWhole) return undefined;
  return (kind) =>
    (runId === undefined || kind.runId === runId) &&
    (categories === undefined || categories.has(kind.category)) &&
    (eventTypes === undefined || eventTypes.has(kind.eventType)) &&
    (taskId === undefined || kind.taskId === taskId);
}
