/**
 * Appending to a session: what is sent, and the record made from what the daemon assigned.
 *
 * @module
 */
import { InvalidArgumentError, InvalidEventError } from '../shared/errors.js';
import type { TurnEvent } from '../shared/events.js';
import { escapeLineSeparators } from '../shared/json-escape.js';
import { type TurnAssignment, turnTail } from '../shared/lines.js';
import type { WireAck } from '../shared/protocol.js';
import { requireAck } from './acks.js';
import { requireAppendOptions, requireBoolean, requireId, requireString } from './arguments.js';
import type { Connection } from './connection.js';
import {
  decodeText,
  type EventText,
  findMember,
  removeMembers,
  scalarOf,
  scanEventText,
} from './event-text.js';
import { turnEventOf } from './records.js';
import type { TurnAppendOptions } from './types.js';

/** The stream of an append: a session, and perhaps the stream id by which it finds its turn. */
export interface TurnTarget {
  readonly sessionId: string;
  readonly streamId?: string | undefined;
}

/** Checks all that does not depend on the event. */
function requireTurnTarget(target: TurnTarget, options: TurnAppendOptions): void {
  requireId('session', target.sessionId);
  requireString('streamId', target.streamId);
  if (target.streamId === '') throw new InvalidArgumentError('streamId', 'streamId is empty');
  requireAppendOptions(options);
  requireBoolean('unlessTerminal', options.unlessTerminal);
}

/**
 * Appends an event given as its JSON text; the text goes to the daemon as it is, save what
 * `appendForStream` takes out. What is refused without asking the daemon is thrown, not rejected,
 * so that a caller with more texts knows at once.
 */
export function appendTurnText(
  connection: Connection,
  target: TurnTarget,
  bytes: Uint8Array,
  options: TurnAppendOptions,
): Promise<TurnEvent> {
  requireTurnTarget(target, options);
  const { sessionId, streamId } = target;
  const { eventBytesMax } = connection.limits;
  let text = scanEventText(bytes, eventBytesMax);
  requireTurnEvent(text, sessionId);
  if (streamId !== undefined) text = scanEventText(withoutStream(text), eventBytesMax);
  const { expectedSeq, unlessTerminal, idempotencyKey } = options;
  const answering = connection.submit(
    {
      type: 'turns.append',
      sessionId,
      text: text.bytes,
      streamId,
      expectedSeq,
      unlessTerminal,
      idempotencyKey,
    },
    options,
  );
  return answering.then((answer) =>
    appendedTurn(text, target, requireAck(answer), answer.duplicate),
  );
}

function requireTurnEvent(text: EventText, sessionId: string): void {
  const event = scalarOf(text, findMember(text, 'event'));
  if (typeof event !== 'string' || event.trim() === '') {
    throw new InvalidEventError('event', 'event must be a string that is not blank');
  }
  if (findMember(text, 'seq') !== undefined) {
    throw new InvalidEventError('seq', 'seq is assigned by the daemon');
  }
  const session = findMember(text, 'session_id');
  if (session !== undefined && scalarOf(text, session) !== sessionId) {
    throw new InvalidEventError('session_id', `session_id is not ${JSON.stringify(sessionId)}`);
  }
}

/** The daemon adds the stream id, and the turn where the event has none that is truthy. */
function withoutStream(text: EventText): Uint8Array {
  const turn = findMember(text, 'turn_id');
  const isContainer = turn?.kind === 'object' || turn?.kind === 'array';
  const hasTurn = isContainer || Boolean(scalarOf(text, turn));
  return removeMembers(text, ({ key }) => key === 'stream_id' || (key === 'turn_id' && !hasTurn));
}

function appendedTurn(
  text: EventText,
  target: TurnTarget,
  ack: WireAck,
  duplicate: boolean,
): TurnEvent {
  const place = { seq: ack.seq, generation: ack.generation, position: ack.position, duplicate };
  if (ack.text instanceof Uint8Array) return turnEventOf(decodeText(ack.text), place);
  const line = lineOf(text, {
    sessionId: target.sessionId,
    streamId: target.streamId,
    turnId: ack.turnId,
    createdAtUs: ack.createdAtUs,
    seq: ack.seq,
  });
  return turnEventOf(line, { ...place, isDeleted: ack.text === null });
}

/** The line as the daemon made it. */
function lineOf(text: EventText, assigned: TurnAssignment): string {
  const { bytes, members, closeBrace } = text;
  const keys = {
    size: members.length,
    has: (key: string) => findMember(text, key) !== undefined,
  };
  const line = decodeText(escapeLineSeparators(bytes));
  // What follows the last brace is spaces: as many characters as bytes.
  const close = line.length - (bytes.length - closeBrace);
  return `${line.slice(0, close)}${turnTail(keys, assigned)}${line.slice(close)}`;
}
