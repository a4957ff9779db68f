/**
 * Subscriptions as server-sent events: what a browser's `EventSource` follows.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Cursor, formatCursor, parseCursor } from '../shared/cursor.js';
import {
  AbortedError,
  ClientClosedError,
  CursorExpiredError,
  InvalidArgumentError,
  PositionExpiredError,
  StreamDeletedError,
} from '../shared/errors.js';
import type { RunEvent, TurnEvent } from '../shared/events.js';
import { requireDuration, requireInteger } from './arguments.js';
import { entryTextOf, jsonTextOf } from './records.js';
import { LogSubscription, type StreamSubscription } from './subscription.js';

const HEARTBEAT_MS_DEFAULT = 15_000;
const RETRY_MS_DEFAULT = 1_000;
const POSITION = /^(0|[1-9][0-9]{0,15})$/;

/** A subscription that can be served. */
export type SseSubscription = StreamSubscription<TurnEvent | RunEvent> | LogSubscription;

/** How to serve a subscription. */
export interface SseOptions {
  /** Silence after which a comment is sent, in milliseconds. Default 15,000. */
  readonly heartbeatMs?: number | undefined;
  /** How long a browser is to wait before it connects again, in milliseconds. Default 1,000. */
  readonly retryMs?: number | undefined;
}

/**
 * Why a response ended: the browser left; the stream was deleted; there is nothing to go on from
 * at the cursor or position; or this side closed the subscription, its client or its signal.
 */
export type SseEnd = 'disconnected' | 'deleted' | 'expired' | 'closed';

/**
 * Answers a request with a subscription, as server-sent events, until one of both sides ends it.
 *
 * Each event is a message whose data is the event's exact text (of a `LogSubscription`: the entry,
 * with the event's exact text in it) and whose id is the cursor's text (or the position). A browser
 * that connects again sends the last id back: see `lastEventCursor`. Other events are `caught-up`,
 * once all that was there has been sent; `deleted` and `expired`, after which the browser should
 * close its `EventSource`: it would only be told the same again. An end without them is one of this
 * process, and the browser does well to connect again.
 *
 * A browser that does not read is sent no more than its socket takes: the subscription waits for it
 * and holds its `SUBSCRIPTION_CREDIT`, 256 KiB, at most. When the browser leaves, the subscription
 * is closed.
 *
 * @returns why it ended
 * @throws what else ends the subscription; the response is ended before
 * @example
 * // A handler of `GET /events`.
 * async function events(request: IncomingMessage, response: ServerResponse): Promise<void> {
 *   const after = lastEventCursor(request) ?? 'start';
 *   await serveSse(response, log.turns.subscribe('s1', { after }));
 * }
 *
 * // In the browser.
 * const source = new EventSource('/events');
 * source.onmessage = ({ data }) => render(JSON.parse(data));
 * for (const end of ['deleted', 'expired']) source.addEventListener(end, () => source.close());
 */
export async function serveSse(
  response: ServerResponse,
  subscription: SseSubscription,
  options: SseOptions = {},
): Promise<SseEnd> {
  const { heartbeatMs = HEARTBEAT_MS_DEFAULT, retryMs = RETRY_MS_DEFAULT } = options;
  requireDuration('heartbeatMs', heartbeatMs, 1);
  requireInteger('retryMs', retryMs, 0);
  const leave = (): void => subscription.close();
  if (response.destroyed) leave();
  response.once('close', leave);
  const frames = new SseFrames(response, subscription);
  const heartbeat = setInterval(() => frames.heartbeat(), heartbeatMs);
  try {
    frames.open(retryMs);
    subscription.caughtUp().then(
      // Not before the event that was handed out with it is written.
      () => setImmediate(() => frames.caughtUp()),
      () => undefined,
    );
    for await (const text of textsOf(subscription)) {
      heartbeat.refresh();
      frames.event(text);
      await drained(response);
    }
    return response.destroyed ? 'disconnected' : 'closed';
  } catch (error) {
    return frames.end(error);
  } finally {
    clearInterval(heartbeat);
    response.off('close', leave);
    subscription.close();
    response.end();
  }
}

/**
 * The cursor that a browser which connects again sends as `Last-Event-ID`: where to go on.
 *
 * @returns `undefined` where the request has none: the browser connects for the first time
 * @throws InvalidArgumentError (`not-committed`) when the header is no cursor
 * @example
 * const subscription = log.runs.subscribe('t1', { after: lastEventCursor(request) ?? 'start' });
 */
export function lastEventCursor(request: IncomingMessage): Cursor | undefined {
  const text = lastEventId(request);
  return text === undefined ? undefined : parseCursor(text);
}

/**
 * The position that a browser which connects again sends as `Last-Event-ID`, where it follows
 * `subscribeAll`.
 *
 * @returns `undefined` where the request has none: the browser connects for the first time
 * @throws InvalidArgumentError (`not-committed`) when the header is no position
 * @example
 * const subscription = log.subscribeAll({ afterPosition: lastEventPosition(request) });
 */
export function lastEventPosition(request: IncomingMessage): number | undefined {
  const text = lastEventId(request);
  if (text === undefined) return undefined;
  const position = Number(text);
  if (!POSITION.test(text) || !Number.isSafeInteger(position)) {
    const problem = `Last-Event-ID is no position: ${JSON.stringify(text.slice(0, 80))}`;
    throw new InvalidArgumentError('Last-Event-ID', problem);
  }
  return position;
}

function lastEventId(request: IncomingMessage): string | undefined {
  const text = request.headers['last-event-id'];
  return text === undefined || text === '' ? undefined : String(text);
}

/**
 * What is written to one browser.
 *
 * Invariant: an id is written with or after everything up to that place, so that who goes on from
 * it misses nothing. It holds because whatever was handed out is written in the same turn of the
 * event loop.
 */
class SseFrames {
  readonly #response: ServerResponse;
  readonly #subscription: SseSubscription;
  /** The id that the browser has; null as long as the subscription's place may be none. */
  #id: string | null = null;

  constructor(response: ServerResponse, subscription: SseSubscription) {
    this.#response = response;
    this.#subscription = subscription;
  }

  open(retryMs: number): void {
    this.#response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      // Else nginx holds events back to fill its buffers.
      'x-accel-buffering': 'no',
    });
    this.#write(`retry: ${retryMs}\n\n`);
  }

  event(text: string): void {
    this.#write(`${this.#newId()}${dataOf(text)}\n`);
  }

  /** The id counts even if there was no event: else who followed from `now` would miss some. */
  caughtUp(): void {
    const id = this.#newId();
    this.#write(`event: caught-up\n${id}data: {}\n\n`);
  }

  /** A comment, and what a filter left out meanwhile needs not be read again. */
  heartbeat(): void {
    if (this.#response.writableNeedDrain) return;
    this.#write(`:\n${this.#id === null ? '' : this.#newId()}\n`);
  }

  /** Tells the browser why nothing more comes, as far as that is its business. */
  end(error: unknown): SseEnd {
    if (error instanceof StreamDeletedError) {
      this.#last('deleted', { code: error.code, cursor: formatCursor(error.cursor) });
      return 'deleted';
    }
    if (error instanceof CursorExpiredError) {
      this.#last('expired', { code: error.code, generation: error.generation });
      return 'expired';
    }
    if (error instanceof PositionExpiredError) {
      this.#last('expired', { code: error.code, earliest: error.earliest });
      return 'expired';
    }
    if (error instanceof AbortedError || error instanceof ClientClosedError) return 'closed';
    throw error;
  }

  #last(event: string, facts: object): void {
    this.#write(`event: ${event}\ndata: ${JSON.stringify(facts)}\n\n`);
  }

  /** The line with the id behind all that was handed out, if it is another than before. */
  #newId(): string {
    const id = placeOf(this.#subscription);
    if (id === this.#id) return '';
    this.#id = id;
    return `id: ${id}\n`;
  }

  #write(frame: string): void {
    if (!this.#response.destroyed && !this.#response.writableEnded) this.#response.write(frame);
  }
}

async function* textsOf(subscription: SseSubscription): AsyncGenerator<string, void> {
  if (subscription instanceof LogSubscription) {
    for await (const entry of subscription) yield entryTextOf(entry);
  } else {
    for await (const event of subscription) yield jsonTextOf(event);
  }
}

function placeOf(subscription: SseSubscription): string {
  return subscription instanceof LogSubscription
    ? String(subscription.position)
    : formatCursor(subscription.cursor);
}

/** Lines that other programs wrote may hold a CR between two tokens; there it means as much as LF. */
function dataOf(text: string): string {
  return text
    .split(/\r\n|\r|\n/)
    .map((line) => `data: ${line}\n`)
    .join('');
}

/** Waits until the browser has read enough to be sent more. */
async function drained(response: ServerResponse): Promise<void> {
  if (!response.writableNeedDrain || response.destroyed) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done).off('close', done);
      resolve();
    };
    response.on('drain', done).on('close', done);
  });
}
