/**
 * What the `eventlog` program answers the shell, and what it says of an error.
 *
 * @module
 */
import { formatCursor } from '../../shared/cursor.js';
import { type AnyEventLogError, type ErrorCode, EventLogError } from '../../shared/errors.js';

/** The exit codes of both programs, by what they mean. */
export const EXIT = {
  ok: 0,
  refused: 1,
  usage: 2,
  corrupt: 65,
  noDaemon: 69,
  inputOutput: 74,
  lockHeld: 78,
} as const;

/** An error as a person is told of it. */
export interface Problem {
  readonly exitCode: number;
  /** What happened, whether anything was written, and what to do next: one line each. */
  readonly lines: readonly string[];
}

/** What to say of an error that a command ended with. */
export function problemOf(error: unknown): Problem {
  if (error instanceof EventLogError) {
    const known = error as AnyEventLogError;
    const next = nextStepOf(known);
    return {
      exitCode: exitCodeOf(known),
      lines: [error.message, outcomeOf(known), ...(next === null ? [] : [next])],
    };
  }
  const { code, message, stack } = error as NodeJS.ErrnoException;
  if (code !== undefined) return { exitCode: EXIT.inputOutput, lines: [message] };
  return { exitCode: EXIT.refused, lines: [stack ?? String(error)] };
}

function outcomeOf(error: AnyEventLogError): string {
  return error.outcome === 'not-committed'
    ? 'outcome: not-committed, nothing was written by this request'
    : 'outcome: unknown, it may have been written';
}

function exitCodeOf(error: AnyEventLogError): number {
  switch (error.code) {
    case 'INVALID_ARGUMENT':
      return EXIT.usage;
    case 'LOG_CORRUPT':
    case 'FORMAT_VERSION':
      return EXIT.corrupt;
    case 'DISCONNECTED':
    case 'TIMEOUT':
    case 'DRAINING':
    case 'CLIENT_CLOSED':
      return EXIT.noDaemon;
    case 'STORAGE_FULL':
    case 'STORAGE_FAILED':
      return EXIT.inputOutput;
    case 'LOCK_HELD':
      return EXIT.lockHeld;
    case 'INVALID_ID':
    case 'INVALID_EVENT':
    case 'EVENT_TOO_LARGE':
    case 'SEQUENCE_CONFLICT':
    case 'TURN_TERMINAL':
    case 'IDEMPOTENCY_KEY_REUSED':
    case 'STREAM_FENCED':
    case 'STREAM_DELETED':
    case 'CURSOR_EXPIRED':
    case 'POSITION_EXPIRED':
    case 'OVERLOADED':
    case 'ABORTED':
    case 'PROTOCOL':
    case 'PROTOCOL_VERSION':
      return EXIT.refused;
  }
}

function nextStepOf(error: AnyEventLogError): string | null {
  if (error.outcome === 'unknown') {
    return 'next: read the stream before you append again; with --key an append can be repeated safely';
  }
  if (error.code === 'SEQUENCE_CONFLICT') {
    return `next: read what came since, then expect seq ${error.actualSeq}`;
  }
  if (error.code === 'STREAM_DELETED') {
    const cursor = formatCursor(error.cursor);
    return `next: it ended at cursor ${cursor}; tail with --from start follows its next life`;
  }
  if (error.code === 'POSITION_EXPIRED') {
    return `next: the log holds what comes after position ${error.earliest - 1}; go on there`;
  }
  const next = NEXT_STEPS[error.code];
  return next === undefined ? null : `next: ${next}`;
}

const NEXT_STEPS: Partial<Record<ErrorCode, string>> = {
  DISCONNECTED:
    "start a daemon with 'eventlogd start --dir DIR', or name the right one with --dir or --socket",
  TURN_TERMINAL: 'begin another turn, or append without --unless-terminal',
  CURSOR_EXPIRED: 'begin at its start again; tail does with --from start',
  IDEMPOTENCY_KEY_REUSED: 'use another key for other content',
  STREAM_FENCED: "see 'eventlog repair turns|runs ID', then add --apply; reads go on until then",
  STORAGE_FULL: 'make room on the disk, or delete streams; the daemon goes on by itself',
  OVERLOADED: 'try again',
  DRAINING: 'try again',
  TIMEOUT: 'try again',
  PROTOCOL_VERSION: 'use the eventlog program of the version that the daemon has',
  LOG_CORRUPT: "run 'eventlogd verify', then 'eventlogd repair'",
};
