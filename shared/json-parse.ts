/**
 * The parser for reading events. What JSON.parse does not give: integers beyond 2^53 without loss,
 * and the NaN, Infinity and -Infinity that Python writes and that stand in old journals.
 *
 * @module
 */

/**
 * An integer of 16 digits or more; the smallest that a double cannot hold has 16. A match may lie
 * in a string, which only costs time. The run is taken whole or not at all, so that the search is
 * linear in the text.
 */
const LONG_INTEGER = /(?:^|[[,:\s-])[1-9]\d{15,}(?![\d.eE])/;

/**
 * Parses the JSON text of an event or of any value.
 *
 * As JSON.parse, save that NaN, Infinity and -Infinity are values, and that an integer without
 * fraction and exponent beyond ±(2^53 - 1) comes as a bigint. `__proto__` is a key like any other,
 * and the last of several equal keys wins. Depth costs memory, not stack.
 *
 * @throws SyntaxError when the text is not such JSON
 * @example
 * parseJson('{"cost":NaN,"id":9007199254740993}'); // { cost: NaN, id: 9007199254740993n }
 */
export function parseJson(text: string): unknown {
  if (LONG_INTEGER.test(text)) return new Parser(text).parse();
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    if (text.includes('NaN') || text.includes('Infinity')) return new Parser(text).parse();
    throw error;
  }
}

/** A container that is still open, and in an object the key whose value comes next. */
type Open =
  | { readonly kind: 'array'; readonly value: unknown[] }
  | { readonly kind: 'object'; readonly value: Record<string, unknown>; key: string };

class Parser {
  readonly #text: string;
  readonly #open: Open[] = [];
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): unknown {
    this.#skipSpaces();
    for (;;) {
      // A value begins here.
      let value = this.#startValue();
      if (value === OPENED) continue;
      // It may be the last of its container, and that of the one around it, and so on.
      for (;;) {
        this.#skipSpaces();
        const container = this.#open.at(-1);
        if (container === undefined) {
          if (this.#at < this.#text.length) throw this.#unexpected();
          return value;
        }
        put(container, value);
        if (this.#take(',')) {
          this.#skipSpaces();
          if (container.kind === 'object') container.key = this.#readKey();
          break;
        }
        if (!this.#take(container.kind === 'object' ? '}' : ']')) throw this.#unexpected();
        this.#open.pop();
        value = container.value;
      }
    }
  }

  /** Reads a scalar or an empty container whole; of any other it opens the first value. */
  #startValue(): unknown {
    if (this.#take('[')) {
      const value: unknown[] = [];
      this.#skipSpaces();
      if (this.#take(']')) return value;
      this.#open.push({ kind: 'array', value });
      return OPENED;
    }
    if (this.#take('{')) {
      const value: Record<string, unknown> = {};
      this.#skipSpaces();
      if (this.#take('}')) return value;
      this.#open.push({ kind: 'object', value, key: this.#readKey() });
      return OPENED;
    }
    if (this.#text[this.#at] === '"') return this.#readString();
    for (const [token, value] of TOKENS) {
      if (this.#take(token)) return value;
    }
    return this.#readNumber();
  }

  /** Leaves the place at the member's value. */
  #readKey(): string {
    if (this.#text[this.#at] !== '"') throw this.#unexpected();
    const key = this.#readString();
    this.#skipSpaces();
    if (!this.#take(':')) throw this.#unexpected();
    this.#skipSpaces();
    return key;
  }

  #readString(): string {
    const start = this.#at;
    let quote = this.#text.indexOf('"', start + 1);
    while (quote !== -1 && this.#isEscaped(quote, start))
      quote = this.#text.indexOf('"', quote + 1);
    if (quote === -1) throw new SyntaxError(`Unterminated string in JSON at position ${start}`);
    this.#at = quote + 1;
    // The token ends at its first unescaped quote; the native parser judges what is inside it, and
    // gives a string that does not keep the whole text alive.
    return JSON.parse(this.#text.slice(start, quote + 1)) as string;
  }

  /** Whether an odd number of backslashes stands before the quote. */
  #isEscaped(quote: number, start: number): boolean {
    let at = quote - 1;
    while (at > start && this.#text[at] === '\\') at -= 1;
    return (quote - 1 - at) % 2 === 1;
  }

  #readNumber(): number | bigint {
    const start = this.#at;
    this.#take('-');
    if (!this.#take('0')) this.#takeDigits();
    let isInteger = true;
    if (this.#take('.')) {
      isInteger = false;
      this.#takeDigits();
    }
    if (this.#take('e') || this.#take('E')) {
      isInteger = false;
      if (!this.#take('+')) this.#take('-');
      this.#takeDigits();
    }
    const token = this.#text.slice(start, this.#at);
    const value = Number(token);
    return isInteger && !Number.isSafeInteger(value) ? BigInt(token) : value;
  }

  /** Takes one digit or more. */
  #takeDigits(): void {
    const start = this.#at;
    while (isDigit(this.#text.charCodeAt(this.#at))) this.#at += 1;
    if (this.#at === start) throw this.#unexpected();
  }

  #take(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #skipSpaces(): void {
    while (isSpace(this.#text.charCodeAt(this.#at))) this.#at += 1;
  }

  #unexpected(): SyntaxError {
    const character = this.#text.at(this.#at);
    if (this.#at >= this.#text.length) return new SyntaxError('Unexpected end of JSON input');
    return new SyntaxError(
      `Unexpected token ${JSON.stringify(character)} in JSON at position ${this.#at}`,
    );
  }
}

/** Says that a container was opened and its first value comes next. */
const OPENED: unique symbol = Symbol('opened');

const TOKENS: readonly (readonly [string, unknown])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
];

function put(container: Open, value: unknown): void {
  if (container.kind === 'array') {
    container.value.push(value);
  } else if (container.key === '__proto__') {
    // Assigning would set the prototype.
    Object.defineProperty(container.value, '__proto__', {
      value,
      configurable: true,
      enumerable: true,
      writable: true,
    });
  } else {
    container.value[container.key] = value;
  }
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
}
