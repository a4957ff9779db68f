/**
 * Exit codes of the programs, after sysexits.h, and which error ends with which.
 *
 * @module
 */
import { type ErrorCode, EventLogError } from '../../shared/errors.js';
import { FailureError } from '../workers/failure.js';

export const EXIT = {
  ok: 0,
  findings: 1,
  usage: 2,
  corrupt: 65,
  ioError: 74,
  lockHeld: 78,
} as const;

/** The exit code that tells a script what went wrong. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof FailureError) return EXIT.ioError;
  if (!(error instanceof EventLogError)) {
    return typeof (error as NodeJS.ErrnoException).syscall === 'string'
      ? EXIT.ioError
      : EXIT.findings;
  }
  return CODES.get(error.code) ?? EXIT.findings;
}

const CODES: ReadonlyMap<ErrorCode, number> = new Map([
  ['LOG_CORRUPT', EXIT.corrupt],
  ['FORMAT_VERSION', EXIT.corrupt],
  ['LOCK_HELD', EXIT.lockHeld],
  ['INVALID_ARGUMENT', EXIT.usage],
  ['STORAGE_FAILED', EXIT.ioError],
  ['STORAGE_FULL', EXIT.ioError],
]);
