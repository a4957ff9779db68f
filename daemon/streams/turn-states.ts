/**
 * The states of a session's turns, kept up event by event: the latest event of each turn, its
 * terminal events, and the turn that each stream id last named.
 *
 * Rows are given by their number in the stream's index, in seq order.
 *
 * @module
 */
import type { TurnRowKind } from '../storage/line-facts.js';

/** What is known of one turn. */
export interface TurnState {
  /** The row with the greatest `created_at`, the later one on ties. */
  latest: number;
  latestCreatedAt: number;
  /** The first row whose event is `submitted`, or null. */
  submitted: number | null;
  /** The rows whose events ended the turn, in seq order. */
  readonly terminals: { readonly row: number; readonly createdAt: number }[];
}

/** The states of all turns as plain data. */
export interface TurnParts {
  readonly turns: Map<string, TurnState>;
  readonly turnOfStream: Map<string, string>;
}

/** All turns of a session, by turn id, in the order of their first event. */
export class TurnStates {
  readonly #turns: Map<string, TurnState>;
  readonly #turnOfStream: Map<string, string>;

  /** @param parts what `parts` of others gave, on this or another thread */
  constructor(parts?: TurnParts) {
    this.#turns = parts?.turns ?? new Map();
    this.#turnOfStream = parts?.turnOfStream ?? new Map();
  }

  /** The states as plain data, to cross threads. */
  parts(): TurnParts {
    return { turns: this.#turns, turnOfStream: this.#turnOfStream };
  }

  get turns(): ReadonlyMap<string, TurnState> {
    return this.#turns;
  }

  /** Memory that the states take, roughly, in bytes. */
  get bytes(): number {
    return (this.#turns.size + this.#turnOfStream.size) * 200;
  }

  /** The turn of the latest event with this stream id, or undefined. */
  turnOfStream(streamId: string): string | undefined {
    return this.#turnOfStream.get(streamId);
  }

  /** The row that first ended a turn, or undefined while it is open. */
  terminalOf(turnId: string): number | undefined {
    return this.#turns.get(turnId)?.terminals[0]?.row;
  }

  /** Takes in the next event. */
  add(row: number, kind: TurnRowKind, createdAt: number): void {
    const { turnId, streamId, role } = kind;
    if (turnId === '') return;
    if (streamId !== '') this.#turnOfStream.set(streamId, turnId);
    let turn = this.#turns.get(turnId);
    if (turn === undefined) {
      turn = { latest: row, latestCreatedAt: createdAt, submitted: null, terminals: [] };
      this.#turns.set(turnId, turn);
    } else if (createdAt >= turn.latestCreatedAt) {
      turn.latest = row;
      turn.latestCreatedAt = createdAt;
    }
    if (role === 'submitted') turn.submitted ??= row;
    if (role === 'terminal') turn.terminals.push({ row, createdAt });
  }

  /** Takes in an event that stands before others: their rows move by one. */
  insert(row: number, kind: TurnRowKind, createdAt: number): void {
    const moved = (at: number): number => (at >= row ? at + 1 : at);
    for (const turn of this.#turns.values()) {
      turn.latest = moved(turn.latest);
      if (turn.submitted !== null) turn.submitted = moved(turn.submitted);
      for (const [at, terminal] of turn.terminals.entries())
        turn.terminals[at] = { ...terminal, row: moved(terminal.row) };
    }
    const { turnId, streamId, role } = kind;
    const turn = this.#turns.get(turnId);
    if (turn === undefined) return this.add(row, kind, createdAt);
    if (streamId !== '' && !this.#turnOfStream.has(streamId))
      this.#turnOfStream.set(streamId, turnId);
    const isLatest =
      createdAt > turn.latestCreatedAt || (createdAt === turn.latestCreatedAt && row > turn.latest);
    if (isLatest) {
      turn.latest = row;
      turn.latestCreatedAt = createdAt;
    }
    if (role === 'submitted') turn.submitted = Math.min(row, turn.submitted ?? row);
    if (role === 'terminal') {
      turn.terminals.push({ row, createdAt });
      turn.terminals.sort((a, b) => a.row - b.row);
    }
  }
}
