/**
 * Errors on their way to a client.
 *
 * @module
 */
import { errorToWire } from '../../shared/error-wire.js';
import { EventLogError } from '../../shared/errors.js';
import type { WireError } from '../../shared/protocol.js';

/** A refusal whose wire form carries more than the error. */
export class WireRefusal extends Error {
  readonly wire: WireError;

  constructor(wire: WireError) {
    super(wire.message);
    this.wire = wire;
  }
}

/**
 * The wire form of whatever a handler threw.
 *
 * @param onProblem told of what was not thrown on purpose
 */
export function wireError(error: unknown, onProblem: (reason: string) => void): WireError {
  if (error instanceof WireRefusal) return error.wire;
  if (error instanceof EventLogError) return errorToWire(error);
  const message = error instanceof Error ? error.message : String(error);
  onProblem(error instanceof Error ? (error.stack ?? message) : message);
  return { code: 'STORAGE_FAILED', message: `the daemon failed: ${message}`, outcome: 'unknown' };
}
