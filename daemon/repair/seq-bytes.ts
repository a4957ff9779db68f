/**
 * Gives a journal line another seq by replacing the bytes of its value alone, or by adding the key
 * where it is missing. All other bytes stay as they are, also what only old libraries wrote: tabs
 * between tokens, `NaN`, keys that stand twice.
 *
 * The line is known to hold one JSON object, so it is enough to follow strings and brackets.
 *
 * @module
 */
import type { Journal } from '../../shared/events.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;

/** The line with this seq. */
export function withSeq(journal: Journal, line: Buffer, seq: number): Buffer {
  const { value, closeBrace, isEmpty } = findSeq(line);
  const digits = String(seq);
  if (value !== null) {
    return Buffer.concat([
      line.subarray(0, value.start),
      Buffer.from(digits),
      line.subarray(value.end),
    ]);
  }
  const member = journal === 'turns' ? `"seq":${digits}` : `"seq": ${digits}`;
  const comma = isEmpty ? '' : journal === 'turns' ? ',' : ', ';
  return Buffer.concat([
    line.subarray(0, closeBrace),
    Buffer.from(`${comma}${member}`),
    line.subarray(closeBrace),
  ]);
}

interface SeqPlace {
  /** Where the value stands that readers take: that of the last such key. */
  readonly value: { readonly start: number; readonly end: number } | null;
  readonly closeBrace: number;
  readonly isEmpty: boolean;
}

function findSeq(line: Buffer): SeqPlace {
  let value: SeqPlace['value'] = null;
  let depth = 0;
  let key: string | null = null;
  let valueStart = -1;
  let isEmpty = true;
  const endMember = (at: number): void => {
    if (key === 'seq' && valueStart !== -1) value = trimmed(line, valueStart, at);
    key = null;
    valueStart = -1;
  };
  for (let at = 0; at < line.length; at += 1) {
    const byte = line[at];
    if (byte === QUOTE) {
      const end = stringEnd(line, at);
      if (depth === 1 && valueStart === -1) {
        key = JSON.parse(line.toString('utf8', at, end)) as string;
        isEmpty = false;
      }
      at = end - 1;
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth += 1;
    else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      depth -= 1;
      if (depth > 0) continue;
      endMember(at);
      return { value, closeBrace: at, isEmpty };
    } else if (depth === 1 && byte === COLON) valueStart = at + 1;
    else if (depth === 1 && byte === COMMA) endMember(at);
  }
  throw new Error('the line holds no whole object');
}

/** The offset behind a string's closing quote. */
function stringEnd(line: Buffer, start: number): number {
  let at = start + 1;
  while (line[at] !== QUOTE) at += line[at] === BACKSLASH ? 2 : 1;
  return at + 1;
}

function trimmed(line: Buffer, from: number, to: number): { start: number; end: number } {
  const isSpace = (at: number): boolean => [0x20, 0x09, 0x0d].includes(line[at] as number);
  let start = from;
  let end = to;
  while (start < end && isSpace(start)) start += 1;
  while (end > start && isSpace(end - 1)) end -= 1;
  return { start, end };
}
