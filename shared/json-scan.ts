/**
 * A strict scanner over the JSON text of one event, as clients send it. It proves that the text
 * may stand in a journal and tells where each member lies, so that the daemon can add keys and
 * cut out values without ever encoding the text again.
 *
 * Stricter than RFC 8259 in one point: the text is part of one line, so the space is the only
 * whitespace. The scanner never recurses; its memory is one number for each open container.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer';
import { decodeJsonKey, utf8ErrorOffset } from './json-bytes.js';
import { FAILED, JsonTokens } from './json-tokens.js';

/** What stands as a value, told by its first byte. */
export type JsonKind = 'string' | 'number' | 'object' | 'array' | 'true' | 'false' | 'null';

/** One member of the top-level object. Offsets count bytes of the scanned text. */
export interface JsonMember {
  /** The key with its escapes resolved. */
  readonly key: string;
  /** Offset of the key's opening quote. */
  readonly keyStart: number;
  /** Offset of the value's first byte. */
  readonly valueStart: number;
  /** Offset behind the value's last byte. */
  readonly valueEnd: number;
  readonly kind: JsonKind;
}

export type JsonScan =
  | {
      readonly ok: true;
      /** All members in the order of the text, duplicates included. */
      readonly members: readonly JsonMember[];
      /** Offset of the top-level object's closing brace. */
      readonly closeBrace: number;
    }
  | { readonly ok: false; readonly reason: string; readonly offset: number };

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Scans the text of one event.
 *
 * @param bytes the whole text; nothing but spaces may surround its object
 * @param options.depthMax containers that may be open at once, the top-level object included
 * @param options.membersMax members of the top-level object; each costs some 70 bytes of memory,
 *   which for the shortest ones is 15 times their text
 * @example
 * const scan = scanObject(Buffer.from('{"event":"done"}'), { depthMax: 512 });
 * if (scan.ok) scan.members[0]; // { key: 'event', keyStart: 1, valueStart: 9, valueEnd: 15, kind: 'string' }
 */
export function scanObject(
  bytes: Uint8Array,
  options: { depthMax: number; membersMax?: number },
): JsonScan {
  if (!isUtf8(bytes)) {
    return { ok: false, reason: 'invalid UTF-8', offset: utf8ErrorOffset(bytes) };
  }
  const tokens = new JsonTokens(bytes);
  const members: JsonMember[] = [];
  const closeBrace = new Scanner(bytes, tokens, options).topLevel(members);
  if (closeBrace === FAILED) {
    return { ok: false, reason: tokens.reason, offset: tokens.failedAt };
  }
  return { ok: true, members, closeBrace };
}

/** The grammar above the tokens; its steps answer as those of JsonTokens do. */
class Scanner {
  readonly #bytes: Uint8Array;
  readonly #tokens: JsonTokens;
  readonly #depthMax: number;
  readonly #membersMax: number;

  constructor(
    bytes: Uint8Array,
    tokens: JsonTokens,
    options: { depthMax: number; membersMax?: number },
  ) {
    this.#bytes = bytes;
    this.#tokens = tokens;
    this.#depthMax = options.depthMax;
    this.#membersMax = options.membersMax ?? Number.POSITIVE_INFINITY;
  }

  /** Collects the members of the top-level object and answers the offset of its closing brace. */
  topLevel(members: JsonMember[]): number {
    const bytes = this.#bytes;
    let at = this.#tokens.skipSpaces(0);
    if (bytes[at] !== OPEN_OBJECT) return this.#tokens.unexpected(at, 'an object');
    if (this.#depthMax < 1) return this.#tokens.fail(at, 'nested too deeply');
    at = this.#tokens.skipSpaces(at + 1);
    if (bytes[at] === CLOSE_OBJECT) return this.#end(at);
    for (;;) {
      const keyStart = at;
      if (members.length >= this.#membersMax) return this.#tokens.fail(at, 'too many members');
      const keyEnd = this.#keyEnd(at);
      if (keyEnd === FAILED) return FAILED;
      const valueStart = this.#behindColon(keyEnd);
      if (valueStart === FAILED) return FAILED;
      const valueEnd = this.#valueEnd(valueStart);
      if (valueEnd === FAILED) return FAILED;
      const key = decodeJsonKey(bytes, keyStart + 1, keyEnd - 1);
      members.push({ key, keyStart, valueStart, valueEnd, kind: kindOf(bytes[valueStart]) });
      at = this.#tokens.skipSpaces(valueEnd);
      if (bytes[at] === CLOSE_OBJECT) return this.#end(at);
      if (bytes[at] !== COMMA) return this.#tokens.unexpected(at, "',' or '}'");
      at = this.#tokens.skipSpaces(at + 1);
    }
  }

  #end(closeBrace: number): number {
    const at = this.#tokens.skipSpaces(closeBrace + 1);
    return at === this.#bytes.length
      ? closeBrace
      : this.#tokens.unexpected(at, 'the end of the text');
  }

  #valueEnd(start: number): number {
    const first = this.#bytes[start];
    if (first === OPEN_OBJECT || first === OPEN_ARRAY) return this.#containerEnd(start);
    return this.#tokens.scalarEnd(start);
  }

  /** Walks a nested object or array; `closers` holds the byte that closes each open container. */
  #containerEnd(start: number): number {
    const bytes = this.#bytes;
    const closers: number[] = [];
    let at = start;
    for (;;) {
      // A value begins at `at`.
      const first = bytes[at];
      if (first === OPEN_OBJECT || first === OPEN_ARRAY) {
        // The top-level object is open too.
        if (closers.length + 2 > this.#depthMax) return this.#tokens.fail(at, 'nested too deeply');
        const closer = first + 2;
        closers.push(closer);
        at = this.#tokens.skipSpaces(at + 1);
        if (bytes[at] !== closer) {
          if (closer === CLOSE_OBJECT) at = this.#memberValueStart(at);
          if (at === FAILED) return FAILED;
          continue;
        }
      } else {
        at = this.#tokens.scalarEnd(at);
        if (at === FAILED) return FAILED;
        at = this.#tokens.skipSpaces(at);
      }
      at = this.#nextValueStart(at, closers);
      if (at === FAILED || closers.length === 0) return at;
    }
  }

  /**
   * Closes what closes at `at` and answers where the next value begins, or, once no container is
   * left open, the offset behind the last closer.
   */
  #nextValueStart(start: number, closers: number[]): number {
    const bytes = this.#bytes;
    let at = start;
    for (;;) {
      const closer = closers[closers.length - 1];
      if (bytes[at] === COMMA) {
        at = this.#tokens.skipSpaces(at + 1);
        return closer === CLOSE_OBJECT ? this.#memberValueStart(at) : at;
      }
      if (bytes[at] !== closer) {
        return this.#tokens.unexpected(at, closer === CLOSE_ARRAY ? "',' or ']'" : "',' or '}'");
      }
      closers.pop();
      if (closers.length === 0) return at + 1;
      at = this.#tokens.skipSpaces(at + 1);
    }
  }

  #memberValueStart(keyStart: number): number {
    const keyEnd = this.#keyEnd(keyStart);
    return keyEnd === FAILED ? FAILED : this.#behindColon(keyEnd);
  }

  #keyEnd(start: number): number {
    if (this.#bytes[start] !== QUOTE) return this.#tokens.unexpected(start, 'a key');
    return this.#tokens.stringEnd(start);
  }

  #behindColon(keyEnd: number): number {
    const at = this.#tokens.skipSpaces(keyEnd);
    if (this.#bytes[at] !== COLON) return this.#tokens.unexpected(at, "':'");
    return this.#tokens.skipSpaces(at + 1);
  }
}

/** The kind of a value that the scanner has accepted. */
function kindOf(first: number | undefined): JsonKind {
  switch (first) {
    case QUOTE:
      return 'string';
    case OPEN_OBJECT:
      return 'object';
    case OPEN_ARRAY:
      return 'array';
    case 0x74:
      return 'true';
    case 0x66:
      return 'false';
    case 0x6e:
      return 'null';
    case undefined:
    default:
      return 'number';
  }
}
