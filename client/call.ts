/**
 * One call of a caller: a request, and the promise that waits for its answer.
 *
 * @module
 */
import { AbortedError, DisconnectedError, type Outcome, TimeoutError } from '../shared/errors.js';
import type { RequestOf, RequestType } from '../shared/protocol.js';
import { AnswerCollector, type OnProgress, type WholeAnswer } from './answer.js';
import { runEventOf, turnEventOf } from './records.js';

/** An absent field may be written as `undefined`: frames leave it out. */
export type Fields<Message> = {
  [Field in keyof Message]: Record<never, never> extends Pick<Message, Field>
    ? Message[Field] | undefined
    : Message[Field];
};

/** A request as the journals hand it over: the connection adds what identifies it. */
export type Submission = {
  [T in RequestType]: Fields<Omit<RequestOf<T>, 'id' | 'number' | 'lowest'>>;
}[RequestType];

/**
 * Where a call is. `unsent` or `sent`, never both; `abandoned` when its caller was answered (a
 * timeout, an abort) while the daemon's answer is still to come; `settled` at the end.
 */
export type CallState = 'unsent' | 'sent' | 'abandoned' | 'settled';

/** Requests that change something: those that carry an append's identity. */
const WRITES: ReadonlySet<RequestType> = new Set<RequestType>([
  'turns.append',
  'turns.delete',
  'turns.repair',
  'runs.put',
  'runs.deleteByThread',
  'runs.deleteByRun',
  'runs.repair',
]);

/** Whether a request changes anything. */
export function isWrite(type: RequestType): boolean {
  return WRITES.has(type);
}

/** Requests that only mean something on the connection that carries them. */
const OF_CONNECTION: ReadonlySet<RequestType> = new Set<RequestType>([
  'turns.subscribe',
  'runs.subscribe',
  'subscribeAll',
  'backup',
]);

/**
 * Whether a request ends with its connection: a subscription asks again itself, from where it has
 * come to meanwhile; a backup takes as long as it takes and is not begun anew unasked.
 */
export function isOfConnection(type: RequestType): boolean {
  return OF_CONNECTION.has(type);
}

/** How a call ends for its caller. */
export interface CallEnd {
  readonly resolve: (answer: WholeAnswer) => void;
  readonly reject: (error: Error) => void;
  /** Told how far a backup has come. */
  readonly onProgress?: OnProgress | undefined;
}

/**
 * Invariants: the caller's promise is settled exactly once; the state moves only as `NEXT` allows;
 * `number` is set exactly on writes.
 */
export class Call {
  readonly id: number;
  readonly request: Submission;
  /** The append's number, by which the daemon knows it again; null on reads. */
  readonly number: number | null;
  /** At least the bytes of its frame. */
  readonly bytes: number;
  #state: CallState = 'unsent';
  /** When it was last sent, by a clock that never jumps. */
  #sentAt = 0;
  #doubtfulSince: number | null = null;
  #collector: AnswerCollector;
  #end: CallEnd | null;

  constructor(id: number, request: Submission, number: number | null, end: CallEnd) {
    this.id = id;
    this.request = request;
    this.number = number;
    this.bytes = frameBytesOf(request);
    this.#collector = collectorFor(request, end.onProgress);
    this.#end = end;
  }

  get state(): CallState {
    return this.#state;
  }

  /**
   * When a write was first sent over a connection that ended without an answer: from then on
   * nobody can say whether it was done, until the daemon answers. In milliseconds; null if there
   * is no such doubt.
   */
  get doubtfulSince(): number | null {
    return this.#doubtfulSince;
  }

  /** Whether the daemon has it, or may have done it before. */
  get wasSent(): boolean {
    return this.#state === 'sent' || this.#doubtfulSince !== null;
  }

  get collector(): AnswerCollector {
    return this.#collector;
  }

  /** Whether anything was changed, as far as this side can know. */
  get outcome(): Outcome {
    return this.number !== null && this.wasSent ? 'unknown' : 'not-committed';
  }

  moveTo(next: CallState): void {
    if (!NEXT[this.#state].includes(next)) {
      throw new Error(`call ${this.id} cannot go from ${this.#state} to ${next}`);
    }
    if (next === 'sent') this.#sentAt = performance.now();
    // What a lost connection left of an answer is no part of the next one.
    if (next === 'unsent') this.#collector = collectorFor(this.request, this.#end?.onProgress);
    this.#state = next;
  }

  /** The connection that it was sent over ended: it is to be sent again. */
  lost(): void {
    if (this.number !== null) this.#doubtfulSince ??= this.#sentAt;
    this.moveTo('unsent');
  }

  /** The caller's promise, to be settled once; null afterwards. */
  takeEnd(): CallEnd | null {
    const end = this.#end;
    this.#end = null;
    return end;
  }
}

function collectorFor({ type }: Submission, onProgress?: OnProgress): AnswerCollector {
  return new AnswerCollector(type.startsWith('turns.') ? turnEventOf : runEventOf, onProgress);
}

const NEXT: Readonly<Record<CallState, readonly CallState[]>> = {
  unsent: ['sent', 'settled'],
  sent: ['unsent', 'abandoned', 'settled'],
  abandoned: ['settled'],
  settled: [],
};

/** The error of a call that was not answered in time. */
export function timeoutErrorOf(call: Call, timeoutMs: number, connection: string): TimeoutError {
  const what = call.wasSent ? 'sent, but not answered' : 'not sent';
  return new TimeoutError(
    `${call.request.type}: ${what} within ${timeoutMs} ms; ${connection}`,
    call.outcome,
  );
}

/** The error of a call whose signal was aborted. */
export function abortedErrorOf(call: Call, reason: unknown): AbortedError {
  const when = call.wasSent ? 'after it was sent' : 'before it was sent';
  return new AbortedError(`${call.request.type}: aborted ${when}`, call.outcome, reason);
}

/** The error of a call whose connection ended, and that is not to be sent again. */
export function lostErrorOf(call: Call, socketPath: string, cause: Error): DisconnectedError {
  const problem = `the connection to ${socketPath} ended before the answer came`;
  return new DisconnectedError(
    `${call.request.type}: ${problem}; ${cause.message}`,
    call.outcome,
    cause,
  );
}

/** The error of a write of which the daemon can no longer say whether it was done. */
export function forgottenErrorOf(call: Call, socketPath: string): DisconnectedError {
  const problem = `the daemon at ${socketPath} no longer knows this client`;
  const advice = 'it may have been done: read before you make it again';
  return new DisconnectedError(`${call.request.type}: ${problem}; ${advice}`, call.outcome);
}

const MEMBER_BYTES = 24;
const CODE_UNIT_BYTES_MAX = 3;

/** An upper bound of the bytes that a request takes on the wire. */
function frameBytesOf(request: Submission): number {
  let bytes = 128;
  for (const value of Object.values(request)) bytes += MEMBER_BYTES + valueBytes(value);
  return bytes;
}

function valueBytes(value: unknown): number {
  if (typeof value === 'string') return 8 + value.length * CODE_UNIT_BYTES_MAX;
  if (value instanceof Uint8Array) return 8 + value.length;
  if (!Array.isArray(value)) return 16;
  let bytes = 8;
  for (const element of value) bytes += valueBytes(element);
  return bytes;
}
