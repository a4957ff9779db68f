/**
 * Checks of what callers pass, done before anything is sent.
 *
 * @module
 */
import { InvalidArgumentError, InvalidIdError } from '../shared/errors.js';
import { describeIdProblem, type IdKind, isId } from '../shared/ids.js';
import { EVENT_TYPES_MAX, IDEMPOTENCY_KEY_BYTES_MAX } from '../shared/limits.js';
import type { AppendOptions, CallOptions, SubscribeAfter } from './types.js';

/** Longest time that a timer of Node can measure, in milliseconds. */
const TIMER_MS_MAX = 2_147_483_647;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Refuses what cannot name anything on disk. Whether a long id may be used, the daemon knows. */
export function requireId(kind: IdKind, id: string): void {
  if (!isId(kind, id)) throw new InvalidIdError(describeIdProblem(kind, id));
}

/** Refuses all but integers from `min` on; `undefined` is allowed. */
export function requireInteger(path: string, value: number | undefined, min: number): void {
  if (value !== undefined && !(Number.isSafeInteger(value) && value >= min)) {
    throw new InvalidArgumentError(
      path,
      `${path} must be an integer from ${min} on, got ${show(value)}`,
    );
  }
}

/** Refuses all but durations that a timer can measure; `undefined` is allowed. */
export function requireDuration(path: string, value: number | undefined, min: number): void {
  const isDuration = typeof value === 'number' && value >= min && value <= TIMER_MS_MAX;
  if (value !== undefined && !isDuration) {
    throw new InvalidArgumentError(
      path,
      `${path} must be from ${min} to ${TIMER_MS_MAX} milliseconds, got ${show(value)}`,
    );
  }
}

/** Refuses all but strings that UTF-8 can hold; `undefined` is allowed. */
export function requireString(path: string, value: string | undefined): void {
  if (value === undefined) return;
  if (typeof value !== 'string') {
    throw new InvalidArgumentError(path, `${path} must be a string, got ${show(value)}`);
  }
  if (LONE_SURROGATE.test(value)) {
    throw new InvalidArgumentError(path, `${path} holds half of a surrogate pair`);
  }
}

/** Refuses all but true and false; `undefined` is allowed. */
export function requireBoolean(path: string, value: boolean | undefined): void {
  if (value !== undefined && typeof value !== 'boolean') {
    throw new InvalidArgumentError(path, `${path} must be true or false, got ${show(value)}`);
  }
}

/** Checks what every call takes. */
export function requireCallOptions(options: CallOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidArgumentError('options', `options must be an object, got ${show(options)}`);
  }
  requireDuration('timeoutMs', options.timeoutMs, 1);
  requireSignal(options.signal);
}

/** Refuses all but signals; `undefined` is allowed. */
function requireSignal(signal: AbortSignal | undefined): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new InvalidArgumentError('signal', `signal must be an AbortSignal, got ${show(signal)}`);
  }
}

/** Checks what every append takes. */
export function requireAppendOptions(options: AppendOptions): void {
  requireCallOptions(options);
  requireInteger('expectedSeq', options.expectedSeq, 0);
  const key = options.idempotencyKey;
  requireString('idempotencyKey', key);
  if (key === undefined) return;
  const bytes = Buffer.byteLength(key);
  if (bytes === 0 || bytes > IDEMPOTENCY_KEY_BYTES_MAX) {
    throw new InvalidArgumentError(
      'idempotencyKey',
      `idempotencyKey must have from 1 to ${IDEMPOTENCY_KEY_BYTES_MAX} bytes, has ${bytes}`,
    );
  }
}

/** Checks a filter by names, such as event types; `undefined` is allowed. */
export function requireNames(path: string, names: readonly string[] | undefined): void {
  if (names === undefined) return;
  if (!Array.isArray(names) || names.length > EVENT_TYPES_MAX) {
    const problem = `${path} must be an array of at most ${EVENT_TYPES_MAX} strings`;
    throw new InvalidArgumentError(path, problem);
  }
  for (const [index, name] of names.entries()) {
    const namePath = `${path}[${index}]`;
    // `undefined` would mean that there is no such filter.
    requireString(namePath, name ?? null);
  }
}

/** Checks where a subscription begins; `undefined` is allowed. */
export function requireAfter(after: SubscribeAfter | undefined): void {
  if (after === undefined || after === 'start' || after === 'now') return;
  if (typeof after === 'number') {
    requireInteger('after', after, 0);
  } else if (typeof after === 'object' && after !== null) {
    for (const name of ['generation', 'seq'] as const) {
      requireInteger(`after.${name}`, after[name] ?? Number.NaN, 0);
    }
  } else {
    const problem = `after must be a cursor, a seq, 'start' or 'now', got ${show(after)}`;
    throw new InvalidArgumentError('after', problem);
  }
}

/** A value as it may stand in a message: short, and of any type. */
function show(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.slice(0, 80));
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'bigint':
      return `${value}n`;
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? 'an array' : 'an object';
    case 'function':
    case 'symbol':
      return `a ${typeof value}`;
  }
}
