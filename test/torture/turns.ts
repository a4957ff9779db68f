/** What the daemon says of turns against the events that it serves. */
import { TERMINAL_EVENTS } from '../../shared/events.js';
import { heldByDaemon } from './files.js';
import type { HeldRow } from './held.js';
import type { Ledger } from './ledger.js';
import type { Stage } from './stage.js';

/** What the daemon says of the turns of a session. */
export interface SaidOfTurns {
  /** The turns that have a state. */
  readonly states: readonly string[];
  /** Those without an end. */
  readonly pending: readonly string[];
}

/** Each turn has a state, and those without a terminal event are pending. Pure. */
export function checkTurnStates(
  ledger: Ledger,
  session: string,
  rows: readonly HeldRow[],
  said: SaidOfTurns,
): void {
  const turns = new Set(rows.flatMap(({ turn }) => turn ?? []));
  const open = new Set(turns);
  for (const { turn, type } of rows) if (TERMINAL_EVENTS.has(type)) open.delete(turn ?? '');
  compare(ledger, `the states of ${session}`, turns, said.states);
  compare(ledger, `what is pending of ${session}`, open, said.pending);
}

function compare(
  ledger: Ledger,
  what: string,
  expected: ReadonlySet<string>,
  said: readonly string[],
): void {
  const missing = [...expected].filter((turn) => !said.includes(turn));
  const excess = said.filter((turn) => !expected.has(turn));
  if (missing.length + excess.length > 0)
    ledger.find(
      'states',
      `${what}: lacks ${missing.join() || 'none'}, has ${excess.join() || 'none'}`,
    );
}

/** Asks for all sessions, while nobody writes. */
export async function lookAtTurns({ log, ledger }: Stage): Promise<void> {
  const pending = await log.turns.pending();
  for (const session of await log.turns.sessionIds()) {
    const { rows } = await heldByDaemon(log, `turns/${session}`);
    const { states } = await log.turns.states(session);
    checkTurnStates(ledger, session, rows, {
      states: Object.keys(states),
      pending: pending.flatMap(({ sessionId, turnId }) => (sessionId === session ? turnId : [])),
    });
  }
}
