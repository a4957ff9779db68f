/**
 * The escapes that keep a line one line for readers that split on Unicode line ends (Python's
 * `str.splitlines`, for one), where JSON itself allows the raw characters.
 *
 * @module
 */
import { Buffer } from 'node:buffer';

const LEAD_C2 = 0xc2;
const LEAD_E2 = 0xe2;
const BACKSLASH = 0x5c;
const ESCAPE_LENGTH = 6;
const HEX_DIGITS = Buffer.from('0123456789abcdef');

/**
 * Writes U+2028, U+2029 and U+0085 as `\u2028`, `\u2029` and `\u0085`.
 *
 * @param bytes valid JSON in UTF-8: there these characters stand only in strings, and never
 *   behind a backslash of an escape
 * @returns the same array when it holds none of them, else a new one
 */
export function escapeLineSeparators(bytes: Uint8Array): Uint8Array {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Two searches at the speed of memory settle the text that has neither lead byte.
  const firstE2 = view.indexOf(LEAD_E2);
  const firstC2 = view.indexOf(LEAD_C2);
  if (firstE2 === -1 && firstC2 === -1) return bytes;
  const from = Math.min(firstE2 >>> 0, firstC2 >>> 0);

  let grownBy = 0;
  for (let at = from; at < bytes.length; at += 1) {
    const length = separatorLength(bytes, at);
    if (length !== 0) grownBy += ESCAPE_LENGTH - length;
  }
  if (grownBy === 0) return bytes;

  const escaped = new Uint8Array(bytes.length + grownBy);
  let copied = 0;
  let end = 0;
  for (let at = from; at < bytes.length; at += 1) {
    const length = separatorLength(bytes, at);
    if (length === 0) continue;
    escaped.set(bytes.subarray(copied, at), end);
    end += at - copied;
    writeEscape(escaped, end, codePointAt(bytes, at));
    end += ESCAPE_LENGTH;
    copied = at + length;
  }
  escaped.set(bytes.subarray(copied), end);
  return escaped;
}

/** Bytes of the separator that begins at `at`; 0 if none does. */
function separatorLength(bytes: Uint8Array, at: number): 0 | 2 | 3 {
  const lead = bytes[at];
  if (lead === LEAD_C2) return bytes[at + 1] === 0x85 ? 2 : 0;
  if (lead !== LEAD_E2 || bytes[at + 1] !== 0x80) return 0;
  return bytes[at + 2] === 0xa8 || bytes[at + 2] === 0xa9 ? 3 : 0;
}

function codePointAt(bytes: Uint8Array, at: number): number {
  if (bytes[at] === LEAD_C2) return 0x85;
  return bytes[at + 2] === 0xa8 ? 0x2028 : 0x2029;
}

function writeEscape(target: Uint8Array, at: number, codePoint: number): void {
  target[at] = BACKSLASH;
  target[at + 1] = 0x75;
  for (let digit = 0; digit < 4; digit += 1) {
    target[at + 2 + digit] = HEX_DIGITS[(codePoint >> (12 - 4 * digit)) & 0xf] as number;
  }
}
