/**
 * Makes the line of an event whose place in its stream is decided.
 *
 * @module
 */
import { randomUUID } from 'node:crypto';
import { EventTooLargeError } from '../../shared/errors.js';
import { escapeLineSeparators } from '../../shared/json-escape.js';
import { composeRunLine, composeTurnLine } from '../../shared/lines.js';
import type { TurnRowKind } from '../storage/line-facts.js';
import type { Row } from '../streams/stream-index.js';
import type { PreparedRun, PreparedTurn } from './operations.js';

/** A line and what the index keeps of it. */
export interface MadeEvent {
  readonly line: Uint8Array;
  readonly kind: Row['kind'];
  /** As in `LineFacts`. */
  readonly createdAt: number;
  readonly createdAtUs: number;
  /** The turn that the daemon chose, or null where the text names its own. */
  readonly chosenTurn: string | null;
}

/** What sealing decided of an event. */
export interface Place {
  readonly seq: number;
  /** The stamp for an event without one, in microseconds since 1970. */
  readonly stampUs: number;
}

/**
 * Why an event cannot be made: the ids that are added to it are a caller's strings, of any length.
 *
 * @param knownTurn as for `makeTurn`
 */
export function refuseOversize(event: PreparedTurn, knownTurn: string): EventTooLargeError | null {
  const { text, keys, streamId, bytesMax } = event;
  if (streamId === null) return null;
  const ids = keys.has('turn_id') ? [streamId] : [streamId, knownTurn];
  const length = ids.reduce((sum, id) => sum + escapedLength(id), text.length);
  if (length <= bytesMax) return null;
  return new EventTooLargeError(
    bytesMax,
    `the event has ${length} bytes with its stream and turn, the limit is ${bytesMax}`,
  );
}

/** The bytes that an id takes in a line. */
function escapedLength(id: string): number {
  return escapeLineSeparators(Buffer.from(JSON.stringify(id))).length;
}

/** @param knownTurn the turn that the event's stream id names, or `''` for none */
export function makeTurn(event: PreparedTurn, place: Place, knownTurn: string): MadeEvent {
  const { seq, stampUs } = place;
  const chosenTurn = event.keys.has('turn_id') ? null : knownTurn || newTurnId(stampUs);
  const line = composeTurnLine(event.text, event, {
    sessionId: event.stream.name.id,
    streamId: event.streamId ?? undefined,
    turnId: chosenTurn ?? undefined,
    createdAtUs: event.createdAt === null ? stampUs : undefined,
    seq,
  });
  const kind: TurnRowKind =
    chosenTurn === null ? event.kind : { ...event.kind, turnId: chosenTurn };
  const createdAt = event.createdAt ?? stampUs / 1_000_000;
  return { line, kind, createdAt, createdAtUs: Math.floor(createdAt * 1_000_000), chosenTurn };
}

export function makeRun(event: PreparedRun, { seq, stampUs }: Place): MadeEvent {
  const createdAtUs = event.createdAt?.us ?? stampUs;
  const line = composeRunLine(event.head, seq, event.createdAt?.text ?? stampUs);
  return { line, kind: event.kind, createdAt: createdAtUs, createdAtUs, chosenTurn: null };
}

/** A new turn id: UTC time and 48 random bits, as the old library makes them. */
function newTurnId(nowUs: number): string {
  const time = new Date(nowUs / 1000).toISOString().replace(/[-:]/g, '').slice(0, 15);
  // The last twelve digits of a random UUID are random, and cheaper than random bytes.
  return `${time}Z-${randomUUID().slice(-12)}`;
}
