/**
 * Exit codes of the programs, after sysexits.h, and which error ends with which.
 *
 * @module
 */
import { EventLogError } from '../../shared/errors.js';
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
  switch (error.code) {
    case 'LOG_CORRUPT':
    case 'FORMAT_VERSION':
      return EXIT.corrupt;
    case 'LOCK_HELD':
      return EXIT.lockHeld;
    case 'INVALID_ARGUMENT':
      return EXIT.usage;
    case 'STORAGE_FAILED':
    case 'STORAGE_FULL':
      return EXIT.ioError;
    default:
      return EXIT.findings;
  }
}
