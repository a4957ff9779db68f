/**
 * The calls of one client: which wait to be sent, and which for their answer.
 *
 * @module
 */
import { errorFromWire } from '../shared/error-wire.js';
import {
  type DisconnectedError,
  InvalidArgumentError,
  OverloadedError,
  ProtocolError,
} from '../shared/errors.js';
import { encodeFrame } from '../shared/frame-codec.js';
import {
  CLIENT_QUEUE_BYTES_MAX,
  CLIENT_QUEUE_CALLS_MAX,
  CLIENT_RESULTS_MAX,
} from '../shared/limits.js';
import type { AnnouncedLimits, Answer, WireError } from '../shared/protocol.js';
import { onAbort } from './abort-signals.js';
import type { OnProgress, WholeAnswer } from './answer.js';
import {
  abortedErrorOf,
  Call,
  isOfConnection,
  isWrite,
  type Submission,
  timeoutErrorOf,
} from './call.js';
import { CallQueue } from './call-queue.js';
import { decodeText } from './event-text.js';
import { turnEventOf } from './records.js';
import { type DaemonMemory, isRemembered, mayResend } from './resend.js';
import type { CallOptions } from './types.js';

/** What a caller may say of a call. */
export interface SubmitOptions extends CallOptions {
  readonly onProgress?: OnProgress | undefined;
}

/** How long a call may take and what gives it up. */
export interface CallTerms extends SubmitOptions {
  /** Without it the call may take as long as it takes. */
  readonly timeoutMs: number | undefined;
}

/** Whose calls they are. */
export interface TableOwner {
  /** How it stands with the connection, for the message of an error. */
  readonly describe: () => string;
  /** A call was given up: others may have waited behind it. */
  readonly onGivenUp: () => void;
}

/** What an answer frame meant: its call was waiting, was refused for a drain, or does not exist. */
export type AnswerEffect = 'taken' | 'refused-draining' | 'unknown-call';

/** Bytes of the length before a frame. */
const PREFIX_BYTES = 4;

/**
 * Invariants: a call is in the queue exactly while it is `unsent`, among the sent ones exactly
 * while it is `sent` or `abandoned`; what is sent stays within the announced window; all that is
 * held stays within the window and the client's own queue.
 */
export class RequestTable {
  #limits: AnnouncedLimits;
  readonly #owner: TableOwner;
  readonly #unsent = new CallQueue();
  #unsentBytes = 0;
  readonly #sent = new Map<number, Call>();
  #sentBytes = 0;
  #lastId = 0;
  #lastNumber = 0;
  readonly #awaitedNumbers = new Set<number>();
  /** No number below it is awaited. */
  #lowestNumber = 1;
  #awaited = 0;
  /** When the daemon last answered a write that it remembers, by a clock that never jumps. */
  #acknowledgedAt: number | null = null;
  #idleWaiters: (() => void)[] = [];

  constructor(limits: AnnouncedLimits, owner: TableOwner) {
    this.#limits = limits;
    this.#owner = owner;
  }

  get limits(): AnnouncedLimits {
    return this.#limits;
  }

  set limits(limits: AnnouncedLimits) {
    this.#limits = limits;
  }

  /** Whether any call that was sent waits for its answer. */
  get hasSent(): boolean {
    return this.#sent.size > 0;
  }

  /** Whether any call waits to be sent. */
  get hasUnsent(): boolean {
    return this.#unsent.size > 0;
  }

  /** Registers a call, in the order of these calls. Nothing of it happens later than this. */
  submit(request: Submission, terms: CallTerms): Promise<WholeAnswer> {
    const { signal } = terms;
    return new Promise((resolve, reject) => {
      const call = new Call(this.#lastId + 1, request, this.#nextNumber(request), {
        resolve: (answer) => {
          release();
          resolve(answer);
        },
        reject: (error) => {
          release();
          reject(error);
        },
        onProgress: terms.onProgress,
      });
      if (signal?.aborted === true) throw abortedErrorOf(call, signal.reason);
      this.#refuseOverload(call);
      const timer = this.#startTimer(call, terms.timeoutMs);
      const ignoreSignal =
        signal && onAbort(signal, () => this.#giveUp(call, abortedErrorOf(call, signal.reason)));
      const release = (): void => {
        clearTimeout(timer);
        ignoreSignal?.();
        this.#noLongerAwaited(call);
      };
      this.#lastId = call.id;
      this.#lastNumber = call.number ?? this.#lastNumber;
      if (call.number !== null) this.#awaitedNumbers.add(call.number);
      if (!isOfConnection(request.type)) this.#awaited += 1;
      this.#unsentBytes += call.bytes;
      this.#unsent.push(call);
    });
  }

  /**
   * Takes the next call that the window has room for: from here on it is sent.
   *
   * @returns its frame, or null when there is none
   */
  takeNext(): Uint8Array | null {
    for (;;) {
      const call = this.#unsent.peek();
      if (call === null || !this.#fitsWindow(call)) return null;
      const frame = this.#encode(call);
      if (frame === null) continue;
      this.#unsent.shift();
      this.#unsentBytes -= call.bytes;
      call.moveTo('sent');
      this.#sent.set(call.id, call);
      this.#sentBytes += call.bytes;
      return frame;
    }
  }

  /** Takes a frame of the daemon that answers a call. */
  answer(frame: Answer): AnswerEffect {
    const call = this.#sent.get(frame.id);
    if (call === undefined) return 'unknown-call';
    if (frame.error !== undefined) return this.#refused(call, frame.error);
    if (frame.more !== true) this.#forgetSent(call);
    if (call.state === 'abandoned') {
      if (frame.more !== true) call.moveTo('settled');
      return 'taken';
    }
    let answer: WholeAnswer | null;
    try {
      answer = call.collector.add(frame);
    } catch (error) {
      call.moveTo(frame.more === true ? 'abandoned' : 'settled');
      call.takeEnd()?.reject(error as Error);
      return 'taken';
    }
    if (answer !== null) {
      call.moveTo('settled');
      if (isRemembered(call.request, answer)) this.#acknowledgedAt = performance.now();
      call.takeEnd()?.resolve(answer);
    }
    return 'taken';
  }

  /**
   * The connection ended: what it carried was perhaps done and perhaps not. It goes back to the
   * queue, in its place by call order, save what concerns that connection alone.
   */
  connectionLost(errorOf: (call: Call) => DisconnectedError): void {
    for (const call of this.#unsent.toArray()) {
      if (isOfConnection(call.request.type)) this.#giveUp(call, errorOf(call));
    }
    const sent = [...this.#sent.values()];
    for (const call of sent) {
      this.#forgetSent(call);
      if (call.state === 'abandoned') call.moveTo('settled');
      else if (isOfConnection(call.request.type)) this.#reject(call, errorOf(call));
      else this.#putBack(call, 'lost');
    }
  }

  /**
   * There is another connection, and nothing is sent over it yet. Writes that the daemon behind it
   * may have done and forgotten are answered with an error; the rest will be sent again.
   */
  reconnected(daemon: DaemonMemory, errorOf: (call: Call) => DisconnectedError): void {
    const now = performance.now();
    const acknowledgedAt = this.#acknowledgedAt;
    const sinceAcknowledgedMs = acknowledgedAt === null ? null : now - acknowledgedAt;
    for (const call of this.#unsent.toArray()) {
      const { doubtfulSince } = call;
      if (doubtfulSince === null) continue;
      const mayBeSent = mayResend(daemon, sinceAcknowledgedMs, now - doubtfulSince);
      if (!mayBeSent) this.#giveUp(call, errorOf(call));
    }
    // What another daemon acknowledged is nothing that this one should know.
    if (!daemon.knowsClient) this.#acknowledgedAt = null;
  }

  /** Answers what waits to be sent with an error. */
  rejectUnsent(errorOf: (call: Call) => Error): void {
    for (const call of this.#unsent.toArray()) this.#giveUp(call, errorOf(call));
  }

  /** Answers everything with an error. */
  rejectAll(errorOf: (call: Call) => Error): void {
    this.rejectUnsent(errorOf);
    for (const call of this.#sent.values()) {
      if (call.state === 'sent') this.#giveUp(call, errorOf(call));
    }
  }

  /** Resolves when no caller waits for an answer. */
  whenIdle(): Promise<void> {
    if (this.#awaited === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  #startTimer(call: Call, timeoutMs: number | undefined): NodeJS.Timeout | undefined {
    if (timeoutMs === undefined) return undefined;
    return setTimeout(() => {
      this.#giveUp(call, timeoutErrorOf(call, timeoutMs, this.#owner.describe()));
    }, timeoutMs);
  }

  #nextNumber(request: Submission): number | null {
    return isWrite(request.type) ? this.#lastNumber + 1 : null;
  }

  #refuseOverload(call: Call): void {
    const callsMax = this.#limits.callsInFlightMax + CLIENT_QUEUE_CALLS_MAX;
    const bytesMax = this.#limits.bytesInFlightMax + CLIENT_QUEUE_BYTES_MAX;
    const calls = this.#unsent.size + this.#sent.size;
    const bytes = this.#unsentBytes + this.#sentBytes;
    if (calls < callsMax && bytes + call.bytes <= bytesMax) return;
    throw new OverloadedError(
      `${call.request.type}: this client has ${calls} calls with ${bytes} bytes waiting already; ` +
        `${this.#owner.describe()}`,
    );
  }

  #fitsWindow(call: Call): boolean {
    const { callsInFlightMax, bytesInFlightMax } = this.#limits;
    // The daemon keeps the results of all that is behind a call which is not answered.
    if (call.number !== null && call.number - this.#lowestAwaited() >= CLIENT_RESULTS_MAX) {
      return false;
    }
    if (this.#sent.size === 0) return true;
    return this.#sent.size < callsInFlightMax && this.#sentBytes + call.bytes <= bytesInFlightMax;
  }

  /** The call's frame; null if it can have none, and then its caller knows. */
  #encode(call: Call): Uint8Array | null {
    const { id, number, request } = call;
    const identity = number === null ? {} : { number, lowest: this.#lowestAwaited() };
    const frame = encodeFrame({ id, ...request, ...identity });
    const { frameBytesMax } = this.#limits;
    if (frame.length - PREFIX_BYTES <= frameBytesMax) return frame;
    const message = `the request has ${frame.length} bytes, at most ${frameBytesMax} are allowed`;
    this.#giveUp(call, new InvalidArgumentError('', `${request.type}: ${message}`));
    return null;
  }

  #lowestAwaited(): number {
    while (
      this.#lowestNumber <= this.#lastNumber &&
      !this.#awaitedNumbers.has(this.#lowestNumber)
    ) {
      this.#lowestNumber += 1;
    }
    return this.#lowestNumber;
  }

  #refused(call: Call, wire: WireError): AnswerEffect {
    this.#forgetSent(call);
    const effect = wire.code === 'DRAINING' ? 'refused-draining' : 'taken';
    if (call.state === 'abandoned') call.moveTo('settled');
    else if (effect === 'refused-draining' && !isOfConnection(call.request.type)) {
      this.#putBack(call, 'refused');
    } else if (call.doubtfulSince === null) {
      this.#reject(call, errorOf(wire));
    } else {
      // That it was not done now does not say that it was not done before.
      this.#reject(call, errorOf({ ...wire, outcome: 'unknown' }));
    }
    return effect;
  }

  /** Ends a call for its caller while the daemon may still answer it. */
  #giveUp(call: Call, error: Error): void {
    switch (call.state) {
      case 'unsent':
        call.moveTo('settled');
        this.#unsent.leave();
        this.#unsentBytes -= call.bytes;
        break;
      case 'sent':
        call.moveTo('abandoned');
        break;
      case 'abandoned':
      case 'settled':
        throw new ProtocolError(`call ${call.id} is given up while ${call.state}`);
    }
    call.takeEnd()?.reject(error);
    this.#owner.onGivenUp();
  }

  #reject(call: Call, error: Error): void {
    call.moveTo('settled');
    call.takeEnd()?.reject(error);
  }

  #putBack(call: Call, why: 'lost' | 'refused'): void {
    if (why === 'lost') call.lost();
    else call.moveTo('unsent');
    this.#unsentBytes += call.bytes;
    this.#unsent.putBack(call);
  }

  #forgetSent(call: Call): void {
    this.#sent.delete(call.id);
    this.#sentBytes -= call.bytes;
  }

  #noLongerAwaited(call: Call): void {
    if (call.number !== null) this.#awaitedNumbers.delete(call.number);
    // A subscription that waits for its answer holds up nobody who leaves.
    if (!isOfConnection(call.request.type)) this.#awaited -= 1;
    if (this.#awaited > 0) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }
}

function errorOf(wire: WireError): Error {
  const generation = wire['generation'];
  return errorFromWire(wire, (text, seq) =>
    turnEventOf(decodeText(text), {
      seq,
      generation: typeof generation === 'number' ? generation : 0,
    }),
  );
}
