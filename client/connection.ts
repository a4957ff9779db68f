/**
 * The client's connection: one link at a time, and another one whenever it ends.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import {
  AbortedError,
  ClientClosedError,
  DisconnectedError,
  DrainingError,
  EventLogError,
  ProtocolError,
} from '../shared/errors.js';
import { encodeFrame } from '../shared/frame-codec.js';
import { HELLO_TIMEOUT_MS } from '../shared/limits.js';
import type { AnnouncedLimits, Answer, Notice, Push, Welcome } from '../shared/protocol.js';
import { onAbort } from './abort-signals.js';
import type { WholeAnswer } from './answer.js';
import { Backoff } from './backoff.js';
import { forgottenErrorOf, isOfConnection, lostErrorOf, type Submission } from './call.js';
import { describePlace, findSocket, type Place } from './endpoint.js';
import { Flusher } from './flusher.js';
import { isPassing, Link, type LinkHandlers } from './link.js';
import { RequestTable, type SubmitOptions } from './request-table.js';
import type { ConnectionListeners, ConnectionState } from './types.js';

/** What a connection needs to know for its whole life. */
export interface ConnectionSettings {
  readonly place: Place;
  readonly waitMs: number;
  readonly timeoutMs: number;
  readonly clientName: string | undefined;
}

/** Those who follow streams over a connection: told what concerns them, each synchronously. */
export interface Followers {
  /**
   * A message about a subscription, perhaps one that is over on this side.
   *
   * @throws ProtocolError when it is no such message: the connection ends with it
   */
  readonly onPush: (push: Push) => void;
  /** There is a connection, and the daemon behind it knows of no subscription yet. */
  readonly onReady: () => void;
  /** The connection ended, and with it every subscription that the daemon knew of. */
  readonly onLost: (error: Error) => void;
  /** The client is being closed: nothing more is asked for. */
  readonly onClosed: (error: ClientClosedError) => void;
}

/** The caller of `open`, who waits for the first hello. */
interface Opening {
  readonly deadline: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A daemon that is there is given this long to answer hello, whatever `waitMs` says. */
const HELLO_TIMEOUT_MIN_MS = 1_000;

const NEXT: Readonly<Record<ConnectionState, readonly ConnectionState[]>> = {
  connecting: ['handshaking', 'closed'],
  handshaking: ['ready', 'connecting', 'reconnecting', 'closed'],
  ready: ['draining', 'reconnecting', 'closed'],
  draining: ['reconnecting', 'closed'],
  reconnecting: ['handshaking', 'closed'],
  closed: [],
};

/** Nothing is sent before the daemon has announced its own. */
const NO_LIMITS: AnnouncedLimits = {
  eventBytesMax: 0,
  batchBytesMax: 0,
  batchEventsMax: 0,
  frameBytesMax: 0,
  callsInFlightMax: 0,
  bytesInFlightMax: 0,
};

/**
 * Invariants: calls are written in the state `ready` only; there is at most one link, and another
 * one is made only after it has ended, so every message belongs to the present link.
 */
export class Connection {
  readonly #settings: ConnectionSettings;
  readonly #listeners: ConnectionListeners;
  readonly #clientId = randomBytes(16).toString('hex');
  readonly #table = new RequestTable(NO_LIMITS, {
    describe: () => this.#describe(),
    onGivenUp: () => this.#flusher.request(),
  });
  readonly #flusher = new Flusher(this.#table, () => (this.#state === 'ready' ? this.#link : null));
  readonly #backoff = new Backoff();
  #followers: Followers | null = null;
  #state: ConnectionState = 'connecting';
  #link: Link | null = null;
  /** Set until the first hello is answered. */
  #opening: Opening | null = null;
  #closing: Promise<void> | null = null;
  #attemptTimer: NodeJS.Timeout | undefined;
  #socketPath: string;
  /** Of the daemon that was met last. */
  #epoch = 0;
  #lastError: Error | null = null;

  constructor(settings: ConnectionSettings, listeners: ConnectionListeners) {
    this.#settings = settings;
    this.#listeners = listeners;
    this.#socketPath = describePlace(settings.place);
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** What the daemon accepts, as it said last. */
  get limits(): AnnouncedLimits {
    return this.#table.limits;
  }

  /** Names those who follow streams. Called once, before anything is subscribed to. */
  serve(followers: Followers): void {
    this.#followers = followers;
  }

  /** Connects for the first time: resolves after hello. Called once. */
  open(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        const problem = `connecting to ${this.#socketPath} was aborted`;
        this.#failOpening(new AbortedError(problem, 'not-committed', signal?.reason));
      };
      const ignoreSignal = signal && onAbort(signal, abort);
      this.#opening = {
        deadline: performance.now() + this.#settings.waitMs,
        resolve: () => {
          ignoreSignal?.();
          resolve();
        },
        reject: (error) => {
          ignoreSignal?.();
          reject(error);
        },
      };
      if (signal?.aborted === true) abort();
      else void this.#attempt();
    });
  }

  /** Sends a request, now or when the window and the connection allow it, and waits for the answer. */
  submit(request: Submission, options: SubmitOptions): Promise<WholeAnswer> {
    if (this.#closing !== null) {
      const why = `${request.type}: the client is closed`;
      return Promise.reject(new ClientClosedError(why, 'not-committed'));
    }
    const { timeoutMs = this.#settings.timeoutMs } = options;
    const terms = { ...options, timeoutMs: isOfConnection(request.type) ? undefined : timeoutMs };
    const answer = this.#table.submit(request, terms);
    this.#flusher.request();
    return answer;
  }

  /** Sends what is not answered, if there is a connection: it concerns no later one. */
  notify(notice: Notice): void {
    if (this.#state === 'ready') this.#flusher.add(encodeFrame(notice));
  }

  /** Takes no new calls, waits for the answers of those there are, and ends the connection. */
  close(): Promise<void> {
    this.#closing ??= this.#waitAndClose();
    return this.#closing;
  }

  async #waitAndClose(): Promise<void> {
    this.#followers?.onClosed(new ClientClosedError('the client was closed', 'not-committed'));
    let timer: NodeJS.Timeout | undefined;
    const timedOut = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#settings.timeoutMs);
    });
    await Promise.race([this.#table.whenIdle(), timedOut]);
    clearTimeout(timer);
    this.#shutDown();
    this.#table.rejectAll(
      (call) => new ClientClosedError(`${call.request.type}: the client was closed`, call.outcome),
    );
  }

  #shutDown(): void {
    this.#moveTo('closed');
    clearTimeout(this.#attemptTimer);
    this.#link?.end(new Error('the client was closed'));
  }

  async #attempt(): Promise<void> {
    try {
      const path = await findSocket(this.#settings.place);
      // The client may have been closed meanwhile.
      if (this.#state === 'closed') return;
      this.#socketPath = path;
      this.#link = this.#linkTo(path);
    } catch (error) {
      this.#attemptFailed(error as Error);
    }
  }

  #linkTo(path: string): Link {
    const { clientName } = this.#settings;
    const restMs = (this.#opening?.deadline ?? Number.POSITIVE_INFINITY) - performance.now();
    const timeoutMs = Math.min(HELLO_TIMEOUT_MS, Math.max(restMs, HELLO_TIMEOUT_MIN_MS));
    return new Link(
      path,
      { clientId: this.#clientId, clientName, timeoutMs },
      this.#linkHandlers(),
    );
  }

  #linkHandlers(): LinkHandlers {
    return {
      onConnected: () => this.#moveTo('handshaking'),
      onWelcome: (welcome) => this.#onWelcome(welcome),
      onMessage: (message) => this.#onMessage(message),
      onWritable: () => this.#flusher.request(),
      onEnd: (error) => this.#onLinkEnd(error),
    };
  }

  #attemptFailed(error: Error): void {
    if (this.#state === 'closed') return;
    this.#lastError = error;
    const pauseMs = this.#backoff.next();
    if (this.#opening === null) {
      // What the daemon says itself, such as another protocol, is news for those who wait.
      if (error instanceof EventLogError && !isPassing(error)) {
        this.#table.rejectUnsent((call) =>
          call.outcome === 'unknown' ? lostErrorOf(call, this.#socketPath, error) : error,
        );
      }
      this.#attemptTimer = setTimeout(() => void this.#attempt(), pauseMs);
      return;
    }
    const restMs = this.#opening.deadline - performance.now();
    if (!isPassing(error) || restMs <= 0) this.#failOpening(this.#openingError(error));
    else this.#attemptTimer = setTimeout(() => void this.#attempt(), Math.min(pauseMs, restMs));
  }

  #failOpening(error: Error): void {
    const opening = this.#opening;
    this.#opening = null;
    this.#shutDown();
    opening?.reject(error);
  }

  #openingError(error: Error): Error {
    if (error instanceof EventLogError && error.code !== 'DISCONNECTED') return error;
    const waited = isPassing(error) ? `; waited ${this.#settings.waitMs} ms` : '';
    return new DisconnectedError(
      `no daemon at ${this.#socketPath}: ${error.message}${waited}`,
      'not-committed',
      error,
    );
  }

  #onWelcome(welcome: Welcome): void {
    this.#table.limits = welcome.limits;
    this.#lastError = null;
    this.#backoff.reset();
    this.#meet(welcome);
    this.#moveTo('ready');
    const opening = this.#opening;
    this.#opening = null;
    if (opening === null) this.#listeners.reconnect();
    else opening.resolve();
    this.#followers?.onReady();
    this.#flusher.request();
  }

  /** Looks whether the daemon can tell what it did of the calls that are to be sent again. */
  #meet({ known, epoch }: Welcome): void {
    const isOlder = epoch < this.#epoch;
    this.#epoch = epoch;
    this.#table.reconnected({ knowsClient: known, isOlder }, (call) =>
      forgottenErrorOf(call, this.#socketPath),
    );
  }

  #onMessage(message: Readonly<Record<string, unknown>>): void {
    const { id, type } = message as { readonly id?: unknown; readonly type?: unknown };
    if (typeof id === 'number') {
      const effect = this.#table.answer(message as unknown as Answer);
      if (effect === 'unknown-call') {
        this.#link?.end(new ProtocolError(`the daemon answered call ${id}, which is not sent`));
      } else {
        if (effect === 'refused-draining') this.#drain();
        this.#leaveDrained();
        if (this.#table.hasUnsent) this.#flusher.request();
      }
    } else if (type === 'draining') {
      this.#drain();
    } else if (type === 'push' || type === 'progress' || type === 'ended') {
      this.#onPush(message as unknown as Push);
    } else {
      this.#link?.end(new ProtocolError(`the daemon sent an unknown message: ${String(type)}`));
    }
  }

  #onPush(push: Push): void {
    try {
      this.#followers?.onPush(push);
    } catch (error) {
      this.#link?.end(error as Error);
    }
  }

  /** Sends nothing more on this link, and leaves it when all that was sent is answered. */
  #drain(): void {
    if (this.#state === 'ready') this.#moveTo('draining');
    this.#leaveDrained();
  }

  /** The daemon waits for this, so that it closes no link with calls unread. */
  #leaveDrained(): void {
    if (this.#state !== 'draining' || this.#table.hasSent) return;
    this.#link?.end(new DrainingError(`${this.#socketPath}: the daemon is stopping`));
  }

  #onLinkEnd(error: Error): void {
    this.#link = null;
    switch (this.#state) {
      case 'connecting':
      case 'reconnecting':
        this.#attemptFailed(error);
        return;
      case 'handshaking':
        this.#moveTo(this.#opening === null ? 'reconnecting' : 'connecting');
        this.#attemptFailed(error);
        return;
      case 'ready':
      case 'draining':
        this.#connectionLost(error);
        return;
      case 'closed':
        return;
    }
  }

  #connectionLost(error: Error): void {
    this.#lastError = error;
    this.#moveTo('reconnecting');
    this.#table.connectionLost((call) => lostErrorOf(call, this.#socketPath, error));
    this.#attemptTimer = setTimeout(() => void this.#attempt(), this.#backoff.next());
    this.#followers?.onLost(error);
    this.#listeners.disconnect(error);
  }

  #moveTo(next: ConnectionState): void {
    if (!NEXT[this.#state].includes(next)) {
      throw new Error(`the connection cannot go from ${this.#state} to ${next}`);
    }
    this.#state = next;
  }

  #describe(): string {
    if (this.#lastError === null) return `the connection to ${this.#socketPath} is ${this.#state}`;
    return `${this.#state} to ${this.#socketPath}: ${this.#lastError.message}`;
  }
}
