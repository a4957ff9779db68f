/**
 * The two places where the JSON scanner leaves the level of single bytes: turning a key into a
 * string, and finding where a text stops being UTF-8.
 *
 * @module
 */
import { Buffer, isUtf8 } from 'node:buffer';

const KEY_SLOTS = 256;
const KEY_LENGTH_CACHED = 32;

/**
 * The keys that were met last, one for each slot. Events share few keys, and comparing bytes with
 * a string that exists already is cheaper than making another one. Bounded by its two constants.
 */
const recentKeys: string[] = Array.from({ length: KEY_SLOTS }, () => '');

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * The key whose text lies between two quotes.
 *
 * @param start offset behind the opening quote
 * @param end offset of the closing quote; the bytes between form a valid JSON string
 */
export function decodeJsonKey(bytes: Uint8Array, start: number, end: number): string {
  const length = end - start;
  if (length === 0) return '';
  if (length > KEY_LENGTH_CACHED) return readKey(bytes, start, end);
  const first = bytes[start] as number;
  const last = bytes[end - 1] as number;
  const slot = (length * 31 + first * 7 + last * 13) % KEY_SLOTS;
  const recent = recentKeys[slot] as string;
  if (recent.length === length && isSpelled(recent, bytes, start)) return recent;
  const key = readKey(bytes, start, end);
  // Only plain ASCII without escapes has as many code units as bytes, and only there may bytes be
  // compared with code units.
  if (key.length === length) recentKeys[slot] = key;
  return key;
}

function isSpelled(key: string, bytes: Uint8Array, start: number): boolean {
  for (let index = 0; index < key.length; index += 1) {
    if (bytes[start + index] !== key.charCodeAt(index)) return false;
  }
  return true;
}

function readKey(bytes: Uint8Array, start: number, end: number): string {
  const text = decoder.decode(bytes.subarray(start, end));
  return text.includes('\\') ? (JSON.parse(`"${text}"`) as string) : text;
}

/**
 * Offset of the first byte that belongs to no UTF-8 character; the length if there is none.
 * Works on the side of refused texts only, and costs a copy of the text.
 */
export function utf8ErrorOffset(bytes: Uint8Array): number {
  // Decoding puts U+FFFD for what is invalid, so the first difference lies at it, or behind its
  // start where the bytes begin like those of U+FFFD itself.
  const lossy = Buffer.from(decoder.decode(bytes));
  const shorter = Math.min(lossy.length, bytes.length);
  let at = 0;
  while (at < shorter && lossy[at] === bytes[at]) at += 1;
  while (!isUtf8(bytes.subarray(0, at))) at -= 1;
  return at;
}
