/**
 * The refusal of an append whose turn has ended.
 *
 * @module
 */
import type { Stream } from '../streams/stream.js';

/** A refusal that shows an event of the turn: where its line is to be read. */
export class TerminalRefusal extends Error {
  readonly stream: Stream;
  /** Row of the index, or the event of this very batch. */
  readonly terminal:
    | { readonly row: number }
    | { readonly line: Uint8Array; readonly seq: number; readonly generation: number };

  constructor(stream: Stream, terminal: TerminalRefusal['terminal']) {
    super('the turn has a terminal event');
    this.stream = stream;
    this.terminal = terminal;
  }
}
