/**
 * Failures as values: an error loses its code between threads, so workers return what went wrong
 * instead of throwing it.
 *
 * @module
 */
import { constants } from 'node:os';

/** What a system call refused. */
export interface Failure {
  /** What was being done: a refused write leaves nothing behind, a refused sync nobody knows. */
  readonly phase: 'open' | 'read' | 'write' | 'sync' | 'move';
  /** Such as `ENOSPC`. */
  readonly code: string;
  readonly path: string;
  readonly message: string;
}

/** A worker's answer. */
export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly failure: Failure };

const EDQUOT = -constants.errno.EDQUOT;
const NO_ROOM: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** Carries a failure to the worker's edge. */
export class FailureError extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** Describes a thrown system error. libuv has no name for EDQUOT, so its number decides. */
export function failureOf(error: unknown, phase: Failure['phase'], path: string): Failure {
  if (error instanceof FailureError) return error.failure;
  const { code, errno, message } = error as NodeJS.ErrnoException;
  return {
    phase,
    code: errno === EDQUOT ? 'EDQUOT' : (code ?? 'UNKNOWN'),
    path,
    message: String(message),
  };
}

/** Runs a step; what it throws becomes a failure of this phase. */
export function during<T>(phase: Failure['phase'], path: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw new FailureError(failureOf(error, phase, path));
  }
}

/** Runs a whole task; a failure of one of its steps becomes its result. */
export function asResult<T>(task: () => T): Result<T> {
  try {
    return { ok: true, value: task() };
  } catch (error) {
    if (error instanceof FailureError) return { ok: false, failure: error.failure };
    throw error;
  }
}

/** Whether there was no room: the only refused writes that end by themselves. */
export function isNoRoom(failure: Failure): boolean {
  return failure.phase !== 'sync' && NO_ROOM.has(failure.code);
}
