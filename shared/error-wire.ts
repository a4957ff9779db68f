/**
 * Errors on the wire: each code with its facts, both ways.
 *
 * @module
 */
import * as errors from './errors.js';
import type { WireError } from './protocol.js';

const FACTS = [
  'path',
  'limitBytes',
  'actualSeq',
  'reason',
  'cursor',
  'generation',
  'earliest',
  'file',
  'offset',
  'pid',
];

/** The wire form of an error. A `TurnTerminalError`'s event travels as the exact line in `text`. */
export function errorToWire(
  error: errors.EventLogError,
  terminal?: { readonly text: Uint8Array; readonly seq: number; readonly generation?: number },
): WireError {
  const facts: Record<string, unknown> = {};
  for (const name of FACTS) {
    const value = (error as unknown as Record<string, unknown>)[name];
    if (value !== undefined) facts[name] = value;
  }
  return {
    code: error.code,
    message: error.message,
    outcome: error.outcome,
    ...facts,
    ...terminal,
  };
}

/**
 * The error that a wire form describes.
 *
 * @param parseEvent makes the record of a line, for the errors that carry one
 */
export function errorFromWire(
  wire: WireError,
  parseEvent: (text: Uint8Array, seq: number) => Readonly<Record<string, unknown>>,
): errors.EventLogError {
  const { message } = wire;
  const outcome: errors.Outcome = wire.outcome === 'not-committed' ? 'not-committed' : 'unknown';
  const text = (name: string): string => (typeof wire[name] === 'string' ? wire[name] : '');
  const number = (name: string): number => (typeof wire[name] === 'number' ? wire[name] : 0);
  switch (wire.code as errors.ErrorCode) {
    case 'INVALID_ARGUMENT':
      return new errors.InvalidArgumentError(text('path'), message);
    case 'INVALID_ID':
      return new errors.InvalidIdError(message);
    case 'INVALID_EVENT':
      return new errors.InvalidEventError(text('path'), message);
    case 'EVENT_TOO_LARGE':
      return new errors.EventTooLargeError(number('limitBytes'), message);
    case 'SEQUENCE_CONFLICT':
      return new errors.SequenceConflictError(number('actualSeq'), message);
    case 'TURN_TERMINAL': {
      const line = wire['text'];
      const event = line instanceof Uint8Array ? parseEvent(line, number('seq')) : {};
      return new errors.TurnTerminalError(event, message);
    }
    case 'IDEMPOTENCY_KEY_REUSED':
      return new errors.IdempotencyKeyReusedError(message);
    case 'STREAM_FENCED':
      return new errors.StreamFencedError(text('reason'), message);
    case 'STREAM_DELETED': {
      const cursor = wire['cursor'] as { generation?: unknown; seq?: unknown } | undefined;
      const at = { generation: Number(cursor?.generation ?? 0), seq: Number(cursor?.seq ?? 0) };
      return new errors.StreamDeletedError(at, message);
    }
    case 'CURSOR_EXPIRED':
      return new errors.CursorExpiredError(number('generation'), message);
    case 'POSITION_EXPIRED':
      return new errors.PositionExpiredError(number('earliest'), message);
    case 'OVERLOADED':
      return new errors.OverloadedError(message);
    case 'STORAGE_FULL':
      return new errors.StorageFullError(message);
    case 'STORAGE_FAILED':
      return new errors.StorageFailedError(message, outcome);
    case 'DRAINING':
      return new errors.DrainingError(message);
    case 'DISCONNECTED':
      return new errors.DisconnectedError(message, outcome);
    case 'TIMEOUT':
      return new errors.TimeoutError(message, outcome);
    case 'ABORTED':
      return new errors.AbortedError(message, outcome);
    case 'CLIENT_CLOSED':
      return new errors.ClientClosedError(message, outcome);
    case 'FORMAT_VERSION':
      return new errors.FormatVersionError(message);
    case 'PROTOCOL':
      return new errors.ProtocolError(message, outcome);
    case 'PROTOCOL_VERSION':
      return new errors.ProtocolVersionError(message);
    case 'LOG_CORRUPT':
      return new errors.LogCorruptError(text('file'), number('offset'), message);
    case 'LOCK_HELD':
      return new errors.LockHeldError(
        typeof wire['pid'] === 'number' ? wire['pid'] : null,
        message,
      );
    default:
      return new errors.ProtocolError(`${String(wire.code)}: ${message}`, outcome);
  }
}
