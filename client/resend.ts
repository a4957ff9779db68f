/**
 * Whether a write that was sent over a lost connection may be sent again.
 *
 * @module
 */
import { CLIENT_RESULTS_AGE_MS } from '../shared/limits.js';
import type { WholeAnswer } from './answer.js';
import { isWrite, type Submission } from './call.js';

/**
 * How long a daemon surely remembers what it did for a client: a little less than it promises,
 * since the two sides do not begin to count at the same instant.
 */
export const SURELY_REMEMBERED_MS: number = CLIENT_RESULTS_AGE_MS - 60_000;

/** What the daemon of a new connection says of itself. */
export interface DaemonMemory {
  /** Whether it holds results of this client. */
  readonly knowsClient: boolean;
  /** Whether its directory is an older copy of the one before: its epoch is lower. */
  readonly isOlder: boolean;
}

/**
 * Whether a write can be sent again without being done twice. A daemon that knows the client knows
 * the write too, if it was done. One that does not know the client never did anything for it, or
 * forgot: because that was long ago, or because it is not the daemon that it was.
 *
 * @param sinceAcknowledgedMs time since a daemon last did a write of this client, if one did
 * @param sinceSentMs time since the write was first sent
 */
export function mayResend(
  daemon: DaemonMemory,
  sinceAcknowledgedMs: number | null,
  sinceSentMs: number,
): boolean {
  if (daemon.knowsClient) return true;
  const hasForgotten = sinceAcknowledgedMs !== null && sinceAcknowledgedMs < SURELY_REMEMBERED_MS;
  return !daemon.isOlder && !hasForgotten && sinceSentMs < SURELY_REMEMBERED_MS;
}

/**
 * Whether the daemon remembers an answered request under this client's name: not what changed
 * nothing, nor what another client had done before under the same key.
 */
export function isRemembered(request: Submission, answer: WholeAnswer): boolean {
  if (request.type === 'turns.append' || request.type === 'runs.put') {
    return answer.duplicate ? request.idempotencyKey === undefined : answer.created === true;
  }
  return isWrite(request.type) && (answer.count ?? 0) > 0;
}
