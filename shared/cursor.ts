/**
 * Cursors name a place in a stream: the stream's life and the seq of an event in it.
 *
 * @module
 */
import { InvalidArgumentError } from './errors.js';

/** A place in a stream: after the event `seq` of the life that began at `generation`. */
export interface Cursor {
  /** The position at which this life of the stream began; 0 means that there is none. */
  readonly generation: number;
  /** The seq of the last event before this place; 0 is the start. */
  readonly seq: number;
}

const TEXT = /^(0|[1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})$/;

/**
 * The text form `<generation>-<seq>` of a cursor, as used for `Last-Event-ID`.
 *
 * @example
 * formatCursor({ generation: 12, seq: 7 }); // '12-7'
 */
export function formatCursor(cursor: Cursor): string {
  return `${cursor.generation}-${cursor.seq}`;
}

/**
 * Reads the text form of a cursor.
 *
 * @throws InvalidArgumentError (`not-committed`) when the text is no cursor
 * @example
 * parseCursor('12-7'); // { generation: 12, seq: 7 }
 */
export function parseCursor(text: string): Cursor {
  const match = TEXT.exec(text);
  const generation = Number(match?.[1]);
  const seq = Number(match?.[2]);
  if (!Number.isSafeInteger(generation) || !Number.isSafeInteger(seq)) {
    throw new InvalidArgumentError('cursor', `not a cursor: ${JSON.stringify(text.slice(0, 80))}`);
  }
  return { generation, seq };
}
