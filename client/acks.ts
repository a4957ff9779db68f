/**
 * What the daemon assigned, taken out of an answer.
 *
 * @module
 */
import { ProtocolError } from '../shared/errors.js';
import type { WireAck } from '../shared/protocol.js';
import type { WholeAnswer } from './answer.js';

/**
 * The acks of an append of `count` events, in input order.
 *
 * @throws ProtocolError (`unknown`) when the answer does not hold them
 */
export function requireAcks(answer: WholeAnswer, count: number): readonly WireAck[] {
  const { acks } = answer;
  if (acks.length !== count || !acks.every(isAck)) {
    throw new ProtocolError(
      `an append of ${count} events was answered by ${acks.length}`,
      'unknown',
    );
  }
  return acks;
}

/** The ack of an append of one event. */
export function requireAck(answer: WholeAnswer): WireAck {
  return requireAcks(answer, 1)[0] as WireAck;
}

function isAck(ack: WireAck): boolean {
  return Number.isSafeInteger(ack.seq) && Number.isSafeInteger(ack.generation);
}
