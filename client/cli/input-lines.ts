/**
 * Events from standard input, one a line.
 *
 * @module
 */
import { EventTooLargeError } from '../../shared/errors.js';

/** A line of the input that is not blank. */
export interface InputLine {
  /** Its 1-based number, blank lines counted. */
  readonly number: number;
  readonly bytes: Uint8Array;
}

const LF = 0x0a;
const CR = 0x0d;
const WHITESPACE = new Set([0x20, 0x09, CR]);

/**
 * Splits bytes on LF. A CR before it belongs to the line's end, and the last line may lack its LF.
 *
 * @param bytesMax longest line: what is longer cannot be an event and is not gathered
 * @throws EventTooLargeError naming the line
 */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<InputLine> {
  let number = 1;
  let parts: Uint8Array[] = [];
  let length = 0;
  const refuseLong = (added: number): void => {
    if (length + added <= bytesMax + 1) return;
    const problem = `line ${number} of the input has more than ${bytesMax} bytes`;
    throw new EventTooLargeError(bytesMax, problem);
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
      refuseLong(end - start);
      const line = lineOf([...parts, chunk.subarray(start, end)]);
      if (line !== null) yield { number, bytes: line };
      parts = [];
      length = 0;
      start = end + 1;
      number += 1;
    }
    refuseLong(chunk.length - start);
    parts.push(chunk.subarray(start));
    length += chunk.length - start;
  }
  const last = lineOf(parts);
  if (last !== null) yield { number, bytes: last };
}

/** The line without its CR; null if it is blank. */
function lineOf(parts: readonly Uint8Array[]): Uint8Array | null {
  const whole = Buffer.concat(parts);
  if (whole.every((byte) => WHITESPACE.has(byte))) return null;
  return whole.at(-1) === CR ? whole.subarray(0, -1) : whole;
}
