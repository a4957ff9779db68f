/**
 * Answers about turns, made from labelled rows.
 *
 * @module
 */
import { ProtocolError } from '../shared/errors.js';
import type { TurnEvent } from '../shared/events.js';
import type { EventRow } from './answer.js';
import type { PendingTurn, TurnCollision, TurnStates } from './types.js';

/** Rows `state`, one a turn, and rows `collision`, those of one turn in their order. */
export function turnStatesOf(rows: readonly EventRow[]): TurnStates {
  // Turn ids are data: without a prototype `__proto__` and `constructor` are keys like any other.
  const states = Object.create(null) as Record<string, TurnEvent>;
  const collisions = new Map<string, TurnCollision>();
  for (const row of rows) {
    const turnId = requireLabel(row.turnId);
    const event = row.event as TurnEvent;
    if (row.label === 'collision') {
      const collision = collisions.get(turnId) ?? { turnId, events: [] };
      collision.events.push(event);
      collisions.set(turnId, collision);
    } else {
      states[turnId] = event;
    }
  }
  return { states, collisions: [...collisions.values()] };
}

/** Rows `submitted` and `latest` of each pending turn; the former may be missing. */
export function pendingTurnsOf(rows: readonly EventRow[]): PendingTurn[] {
  const pending = new Map<
    string,
    { submitted: TurnEvent | null; row: EventRow; latest: TurnEvent }
  >();
  for (const row of rows) {
    // No id holds a line feed.
    const key = `${requireLabel(row.sessionId)}\n${requireLabel(row.turnId)}`;
    const event = row.event as TurnEvent;
    const turn = pending.get(key) ?? { submitted: null, row, latest: event };
    if (row.label === 'submitted') turn.submitted = event;
    else turn.latest = event;
    pending.set(key, turn);
  }
  return [...pending.values()].map(({ submitted, row, latest }) => ({
    sessionId: requireLabel(row.sessionId),
    turnId: requireLabel(row.turnId),
    submitted,
    latest,
  }));
}

function requireLabel(label: string | undefined): string {
  if (typeof label === 'string') return label;
  throw new ProtocolError('a row of the answer does not say its turn');
}
