/**
 * @module
 */
import { EventLogError, StorageFailedError, StorageFullError } from '../../shared/errors.js';
import { failureOf, isNoRoom } from '../workers/failure.js';

/** What an append is told whose file cannot be opened: it hurts that stream alone. */
export function openFailure(path: string, error: unknown): Error {
  if (error instanceof EventLogError) return error;
  const failure = failureOf(error, 'open', path);
  return isNoRoom(failure)
    ? new StorageFullError(`no room to create ${path}: ${failure.message}; nothing was written`)
    : new StorageFailedError(
        `${path} cannot be opened for writing: ${failure.message}; nothing was written, mend it and try again`,
        'not-committed',
      );
}
