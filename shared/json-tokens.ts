/**
 * The tokens of strict JSON, found in bytes that are known to be UTF-8.
 *
 * @module
 */

/** What a step answers in place of an offset once the scan has failed. */
export const FAILED = -1;

const SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;

/** 1 for each byte that ends a run of plain characters in a string. */
const STOPS: Uint8Array = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte < 0x20 || byte === QUOTE || byte === BACKSLASH ? 1 : 0,
);

/**
 * Every step takes the offset where its part begins and answers the offset behind it, or FAILED
 * after it has set `reason` and `failedAt`. Reading past the end gives `undefined`, which is no
 * byte that any step accepts.
 */
export class JsonTokens {
  reason = '';
  failedAt = 0;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** A string, a number or a literal. */
  scalarEnd(start: number): number {
    const first = this.#bytes[start];
    if (first === QUOTE) return this.stringEnd(start);
    if (first === MINUS || isDigit(first)) return this.#numberEnd(start);
    if (first === 0x74) return this.#literalEnd(start, 'true');
    if (first === 0x66) return this.#literalEnd(start, 'false');
    if (first === 0x6e) return this.#literalEnd(start, 'null');
    return this.unexpected(start, 'a value');
  }

  /** A string whose opening quote is known to stand at `start`. */
  stringEnd(start: number): number {
    const bytes = this.#bytes;
    const length = bytes.length;
    let at = start + 1;
    for (;;) {
      while (at < length && STOPS[bytes[at] as number] === 0) at += 1;
      if (bytes[at] === QUOTE) return at + 1;
      if (bytes[at] !== BACKSLASH) return this.unexpected(at, 'the end of a string');
      const escaped = escapeLength(bytes, at);
      if (escaped === 0) return this.fail(at, 'bad escape in a string');
      at += escaped;
    }
  }

  skipSpaces(start: number): number {
    let at = start;
    while (this.#bytes[at] === SPACE) at += 1;
    return at;
  }

  unexpected(offset: number, expected: string): typeof FAILED {
    const byte = this.#bytes[offset];
    if (byte === undefined) return this.fail(offset, `the text ends before ${expected}`);
    if (byte < 0x20) {
      const code = byte.toString(16).padStart(2, '0');
      return this.fail(offset, `control character 0x${code}`);
    }
    return this.fail(offset, `expected ${expected}`);
  }

  fail(offset: number, reason: string): typeof FAILED {
    this.reason = reason;
    this.failedAt = offset;
    return FAILED;
  }

  #numberEnd(start: number): number {
    const bytes = this.#bytes;
    let at = bytes[start] === MINUS ? start + 1 : start;
    // After a leading zero no digit is taken; the step that follows refuses it.
    if (bytes[at] === ZERO) at += 1;
    else if (isDigit(bytes[at])) at = this.#digitsEnd(at);
    else return this.unexpected(at, 'a digit');
    if (bytes[at] === DOT) {
      if (!isDigit(bytes[at + 1])) return this.unexpected(at + 1, 'a digit');
      at = this.#digitsEnd(at + 1);
    }
    const exponent = bytes[at];
    if (exponent === 0x65 || exponent === 0x45) {
      at += 1;
      if (bytes[at] === PLUS || bytes[at] === MINUS) at += 1;
      if (!isDigit(bytes[at])) return this.unexpected(at, 'a digit');
      at = this.#digitsEnd(at);
    }
    return at;
  }

  #digitsEnd(start: number): number {
    let at = start;
    while (isDigit(this.#bytes[at])) at += 1;
    return at;
  }

  #literalEnd(start: number, literal: 'true' | 'false' | 'null'): number {
    for (let index = 1; index < literal.length; index += 1) {
      if (this.#bytes[start + index] !== literal.charCodeAt(index)) {
        return this.unexpected(start + index, `'${literal}'`);
      }
    }
    return start + literal.length;
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}

function isHexDigit(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  const lower = byte | 0x20;
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66);
}

/** Bytes of the escape that begins with the backslash at `start`; 0 if it is none. */
function escapeLength(bytes: Uint8Array, start: number): 0 | 2 | 6 {
  switch (bytes[start + 1]) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f: // slash
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return 2;
    case 0x75: // u
      for (let at = start + 2; at < start + 6; at += 1) {
        if (!isHexDigit(bytes[at])) return 0;
      }
      return 6;
    case undefined:
    default:
      return 0;
  }
}
