/**
 * The error taxonomy. Every error says what happened (`code`), whether it happened (`outcome`),
 * whether the same call may succeed later (`retryable`), and carries the facts to act on.
 *
 * @module
 */

/** Whether the operation took effect: certainly not, or nobody can say. */
export type Outcome = 'not-committed' | 'unknown';

/** Every code, as a literal union to switch on. */
export type ErrorCode =
  | 'INVALID_ARGUMENT'
  | 'INVALID_ID'
  | 'INVALID_EVENT'
  | 'EVENT_TOO_LARGE'
  | 'SEQUENCE_CONFLICT'
  | 'TURN_TERMINAL'
  | 'IDEMPOTENCY_KEY_REUSED'
  | 'STREAM_FENCED'
  | 'STREAM_DELETED'
  | 'CURSOR_EXPIRED'
  | 'POSITION_EXPIRED'
  | 'OVERLOADED'
  | 'STORAGE_FULL'
  | 'STORAGE_FAILED'
  | 'DRAINING'
  | 'DISCONNECTED'
  | 'TIMEOUT'
  | 'ABORTED'
  | 'CLIENT_CLOSED'
  | 'FORMAT_VERSION'
  | 'PROTOCOL'
  | 'PROTOCOL_VERSION'
  | 'LOG_CORRUPT'
  | 'LOCK_HELD';

/**
 * The base of every error that eventlogd raises on purpose.
 *
 * @example
 * try {
 *   await log.turns.append('s1', { event: 'submitted' }, { expectedSeq: 4 });
 * } catch (error) {
 *   if (error instanceof SequenceConflictError) retryFrom(error.actualSeq);
 *   else if (error instanceof EventLogError && error.outcome === 'unknown') await lookItUp();
 *   else throw error;
 * }
 */
export abstract class EventLogError extends Error {
  abstract readonly code: ErrorCode;
  /** Whether the operation took effect. */
  readonly outcome: Outcome;
  /** Whether the same call may succeed later without a change by the caller. */
  readonly retryable: boolean;

  constructor(
    message: string,
    facts: {
      readonly outcome?: Outcome;
      readonly retryable?: boolean;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = new.target.name;
    this.outcome = facts.outcome ?? 'not-committed';
    this.retryable = facts.retryable ?? false;
  }
}

/** An argument or option is not of its form; `path` names it. Never committed. */
export class InvalidArgumentError extends EventLogError {
  readonly code = 'INVALID_ARGUMENT';
  /** The argument, such as `limit`. */
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/** A session, thread or run id that is not allowed. Never committed. */
export class InvalidIdError extends EventLogError {
  readonly code = 'INVALID_ID';
}

/** An event that cannot be recorded; `path` names the member. Never committed. */
export class InvalidEventError extends EventLogError {
  readonly code = 'INVALID_EVENT';
  /** The member, such as `content.items[2]`; `''` is the event itself. */
  readonly path: string;

  constructor(path: string, message: string) {
    super(message);
    this.path = path;
  }
}

/** An event or batch over its limit. Never committed. */
export class EventTooLargeError extends EventLogError {
  readonly code = 'EVENT_TOO_LARGE';
  readonly limitBytes: number;

  constructor(limitBytes: number, message: string) {
    super(message);
    this.limitBytes = limitBytes;
  }
}

/** `expectedSeq` was not the stream's last seq. Never committed. */
export class SequenceConflictError extends EventLogError {
  readonly code = 'SEQUENCE_CONFLICT';
  /** The seq of the stream's last assigned event, 0 for none. */
  readonly actualSeq: number;

  constructor(actualSeq: number, message: string) {
    super(message);
    this.actualSeq = actualSeq;
  }
}

/** `unlessTerminal` met a turn that has ended. Never committed. */
export class TurnTerminalError extends EventLogError {
  readonly code = 'TURN_TERMINAL';
  /** The event that ended the turn. */
  readonly event: Readonly<Record<string, unknown>>;

  constructor(event: Readonly<Record<string, unknown>>, message: string) {
    super(message);
    this.event = event;
  }
}

/** The idempotency key was used with other content. Never committed. */
export class IdempotencyKeyReusedError extends EventLogError {
  readonly code = 'IDEMPOTENCY_KEY_REUSED';
}

/** The stream is fenced: it is read, but not written until `eventlog repair`. Never committed. */
export class StreamFencedError extends EventLogError {
  readonly code = 'STREAM_FENCED';
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The stream was deleted while it was followed. */
export class StreamDeletedError extends EventLogError {
  readonly code = 'STREAM_DELETED';
  /** The last cursor of the life that ended. */
  readonly cursor: { readonly generation: number; readonly seq: number };

  constructor(cursor: { readonly generation: number; readonly seq: number }, message: string) {
    super(message);
    this.cursor = cursor;
  }
}

/** The cursor belongs to another life of the stream. */
export class CursorExpiredError extends EventLogError {
  readonly code = 'CURSOR_EXPIRED';
  /** The stream's present generation, 0 when it does not exist. */
  readonly generation: number;

  constructor(generation: number, message: string) {
    super(message);
    this.generation = generation;
  }
}

/** The position lies before the retained log. */
export class PositionExpiredError extends EventLogError {
  readonly code = 'POSITION_EXPIRED';
  /** The earliest position that is still there. */
  readonly earliest: number;

  constructor(earliest: number, message: string) {
    super(message);
    this.earliest = earliest;
  }
}

/** A queue is full; try again later. Never committed. */
export class OverloadedError extends EventLogError {
  readonly code = 'OVERLOADED';

  constructor(message: string) {
    super(message, { retryable: true });
  }
}

/** There is no room on the disk; the daemon goes on by itself when there is. Never committed. */
export class StorageFullError extends EventLogError {
  readonly code = 'STORAGE_FULL';

  constructor(message: string) {
    super(message, { retryable: true });
  }
}

/** The disk refused. `outcome` says whether the events may be on it all the same. */
export class StorageFailedError extends EventLogError {
  readonly code = 'STORAGE_FAILED';

  constructor(message: string, outcome: Outcome) {
    super(message, { outcome, retryable: outcome === 'not-committed' });
  }
}

/** The daemon is stopping and takes no new work. Never committed. */
export class DrainingError extends EventLogError {
  readonly code = 'DRAINING';

  constructor(message: string) {
    super(message, { retryable: true });
  }
}

/** The connection ended before the answer came, or none could be made. */
export class DisconnectedError extends EventLogError {
  readonly code = 'DISCONNECTED';

  constructor(message: string, outcome: Outcome, cause?: unknown) {
    super(message, { outcome, retryable: outcome === 'not-committed', cause });
  }
}

/** No answer within `timeoutMs`. */
export class TimeoutError extends EventLogError {
  readonly code = 'TIMEOUT';

  constructor(message: string, outcome: Outcome) {
    super(message, { outcome, retryable: outcome === 'not-committed' });
  }
}

/** The caller's signal was aborted. */
export class AbortedError extends EventLogError {
  readonly code = 'ABORTED';

  constructor(message: string, outcome: Outcome, cause?: unknown) {
    super(message, { outcome, cause });
    this.name = 'AbortError';
  }
}

/** The client was closed. */
export class ClientClosedError extends EventLogError {
  readonly code = 'CLIENT_CLOSED';

  constructor(message: string, outcome: Outcome) {
    super(message, { outcome });
  }
}

/** The directory was written by a newer eventlogd. */
export class FormatVersionError extends EventLogError {
  readonly code = 'FORMAT_VERSION';
}

/** A message that does not follow the protocol. */
export class ProtocolError extends EventLogError {
  readonly code = 'PROTOCOL';

  constructor(message: string, outcome: Outcome = 'not-committed') {
    super(message, { outcome });
  }
}

/** Client and daemon have no protocol version in common. */
export class ProtocolVersionError extends EventLogError {
  readonly code = 'PROTOCOL_VERSION';
}

/** The commit log or catalog is damaged below the durable frontier. */
export class LogCorruptError extends EventLogError {
  readonly code = 'LOG_CORRUPT';
  readonly file: string;
  /** The byte offset of the damage in `file`. */
  readonly offset: number;

  constructor(file: string, offset: number, message: string) {
    super(message);
    this.file = file;
    this.offset = offset;
  }
}

/** Another daemon or offline command owns the directory. */
export class LockHeldError extends EventLogError {
  readonly code = 'LOCK_HELD';
  /** The owner's process id, where it is known. */
  readonly pid: number | null;

  constructor(pid: number | null, message: string) {
    super(message);
    this.pid = pid;
  }
}

/** Every error class, as a union that `switch (error.code)` narrows. */
export type AnyEventLogError =
  | InvalidArgumentError
  | InvalidIdError
  | InvalidEventError
  | EventTooLargeError
  | SequenceConflictError
  | TurnTerminalError
  | IdempotencyKeyReusedError
  | StreamFencedError
  | StreamDeletedError
  | CursorExpiredError
  | PositionExpiredError
  | OverloadedError
  | StorageFullError
  | StorageFailedError
  | DrainingError
  | DisconnectedError
  | TimeoutError
  | AbortedError
  | ClientClosedError
  | FormatVersionError
  | ProtocolError
  | ProtocolVersionError
  | LogCorruptError
  | LockHeldError;
