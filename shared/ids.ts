/**
 * Ids of sessions, threads and runs. An id is data: it is compared whole, and is a key of Maps.
 *
 * Old libraries put no bound on the length of an id, so the alphabet says whether an id is valid
 * at all, and the length only whether it may be created.
 *
 * @module
 */
import {
  FILE_NAME_LENGTH_MAX,
  RUN_ID_LENGTH_MAX,
  SESSION_ID_LENGTH_MAX,
  THREAD_ID_LENGTH_MAX,
} from './limits.js';

/** The kinds of id. */
export type IdKind = 'session' | 'thread' | 'run';

const JOURNAL_ENDING = '.jsonl';
const ALPHABETS: Readonly<Record<IdKind, RegExp>> = {
  session: /^[A-Za-z0-9_.-]+$/,
  thread: /^[A-Za-z0-9_-]+$/,
  run: /^[A-Za-z0-9_-]+$/,
};
const NEW_LENGTHS: Readonly<Record<IdKind, number>> = {
  session: SESSION_ID_LENGTH_MAX,
  thread: THREAD_ID_LENGTH_MAX,
  run: RUN_ID_LENGTH_MAX,
};

/** Whether `id` can name something that exists on disk. */
export function isId(kind: IdKind, id: unknown): id is string {
  return (
    typeof id === 'string' &&
    id.length <= FILE_NAME_LENGTH_MAX - JOURNAL_ENDING.length &&
    ALPHABETS[kind].test(id) &&
    id !== '.' &&
    id !== '..'
  );
}

/** Whether `id` is short enough to be created where it does not exist yet. */
export function isNewId(kind: IdKind, id: string): boolean {
  return id.length <= NEW_LENGTHS[kind] && isId(kind, id);
}

/** What is wrong with an id, as a sentence for a person. */
export function describeIdProblem(kind: IdKind, id: unknown): string {
  const shown = typeof id === 'string' ? JSON.stringify(id.slice(0, 80)) : typeof id;
  return (
    `invalid ${kind} id ${shown}: it must match ${ALPHABETS[kind].source}` +
    `${kind === 'session' ? ', not be "." or ".."' : ''} and a new one may have at most ` +
    `${NEW_LENGTHS[kind]} characters`
  );
}
