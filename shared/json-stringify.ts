/**
 * The writer for events that come as JavaScript values. What JSON.stringify would drop or change
 * without a word is refused here, with the path of the value that is at fault.
 *
 * @module
 */

/** A value that an event cannot hold. */
export class JsonValueError extends Error {
  override readonly name = 'JsonValueError';
  /** Where the value stands, such as `content.items[3].x`; '' for the event itself. */
  readonly path: string;

  constructor(path: string, problem: string) {
    super(path === '' ? `the event ${problem}` : `${path} ${problem}`);
    this.path = path;
  }
}

const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** Classes whose content JSON.stringify would lose: it writes `{}` or the bare inner value. */
const OPAQUE_CLASSES: readonly (new (...args: never[]) => object)[] = [
  Map,
  Set,
  WeakMap,
  WeakSet,
  Promise,
  RegExp,
  Error,
  ArrayBuffer,
  Number,
  String,
  Boolean,
];

/**
 * Writes an event as JSON text, as JSON.stringify does, save that bigints are written as their
 * digits, and that everything which JSON cannot hold throws: functions, symbols, cycles, `undefined`
 * anywhere but as a member's value (such members are left out), numbers that are not finite, and
 * integers beyond ±(2^53 - 1) that came as numbers, since their digits are lost already.
 *
 * @param options.depthMax containers that may be open at once, the event included
 * @throws JsonValueError naming the path
 * @example
 * stringifyEvent({ event: 'done', tokens: 12n }, { depthMax: 512 }); // '{"event":"done","tokens":12}'
 */
export function stringifyEvent(value: unknown, options: { depthMax: number }): string {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (isObject && isNativelyWritten(value, options.depthMax)) return JSON.stringify(value);
  return new Writer(options.depthMax).event(value);
}

/**
 * Whether JSON.stringify writes the value without loss and without calling into it. It is several
 * times faster than the writer below, which takes whatever this declines and finds the fault in it.
 * Cycles end at the depth.
 */
function isNativelyWritten(value: unknown, depthLeft: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isInteger(value) ? Number.isSafeInteger(value) : Number.isFinite(value);
    case 'object':
      return value === null || (depthLeft > 0 && isPlainContainer(value, depthLeft));
    case 'bigint':
    case 'undefined':
    case 'function':
    case 'symbol':
      return false;
  }
}

function isPlainContainer(value: object, depthLeft: number): boolean {
  if ('toJSON' in value) return false;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      if (!isNativelyWritten(value[index], depthLeft - 1)) return false;
    }
    return true;
  }
  const prototype = Object.getPrototypeOf(value) as unknown;
  if (prototype !== Object.prototype && prototype !== null) return false;
  for (const key in value) {
    const member = (value as Record<string, unknown>)[key];
    if (member !== undefined && !isNativelyWritten(member, depthLeft - 1)) return false;
  }
  return true;
}

class Writer {
  readonly #depthMax: number;
  /** The containers that are open, outermost first; in each the key or index being written. */
  readonly #open: object[] = [];
  readonly #path: (string | number)[] = [];

  constructor(depthMax: number) {
    this.#depthMax = depthMax;
  }

  event(value: unknown): string {
    const event = resolveToJson(value, '');
    if (typeof event !== 'object' || event === null || Array.isArray(event)) {
      throw this.#error(`must be an object, not ${nameOf(event)}`);
    }
    return this.#container(event);
  }

  #container(value: object): string {
    if (this.#open.includes(value)) throw this.#error('contains itself');
    if (this.#open.length >= this.#depthMax) {
      throw this.#error(`is nested deeper than ${this.#depthMax}`);
    }
    this.#open.push(value);
    const text = Array.isArray(value) ? this.#array(value) : this.#object(value);
    this.#open.pop();
    return text;
  }

  #object(value: object): string {
    this.#refuseOpaque(value);
    const depth = this.#path.length;
    let text = '';
    for (const key of Object.keys(value)) {
      this.#path[depth] = key;
      const member = resolveToJson((value as Record<string, unknown>)[key], key);
      if (member === undefined) continue;
      text += `${text === '' ? '{' : ','}${JSON.stringify(key)}:${this.#value(member)}`;
    }
    this.#path.length = depth;
    return text === '' ? '{}' : `${text}}`;
  }

  #array(value: readonly unknown[]): string {
    const depth = this.#path.length;
    let text = '';
    for (let index = 0; index < value.length; index += 1) {
      this.#path[depth] = index;
      const element = resolveToJson(value[index], String(index));
      text += `${index === 0 ? '[' : ','}${this.#value(element)}`;
    }
    this.#path.length = depth;
    return text === '' ? '[]' : `${text}]`;
  }

  #value(value: unknown): string {
    switch (typeof value) {
      case 'string':
        return JSON.stringify(value);
      case 'number':
        return this.#number(value);
      case 'boolean':
        return value ? 'true' : 'false';
      case 'bigint':
        return String(value);
      case 'object':
        return value === null ? 'null' : this.#container(value);
      case 'undefined':
      case 'function':
      case 'symbol':
        throw this.#error(`is ${nameOf(value)}, which JSON cannot hold`);
    }
  }

  #number(value: number): string {
    if (!Number.isFinite(value)) throw this.#error(`is ${value}, which JSON cannot hold`);
    if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
      throw this.#error(`is an integer beyond 2^53 as a number (${value}); pass it as a bigint`);
    }
    // As JSON.stringify has it, minus zero is written as 0.
    return String(value);
  }

  #refuseOpaque(value: object): void {
    const prototype = Object.getPrototypeOf(value) as unknown;
    if (prototype === Object.prototype || prototype === null) return;
    if (ArrayBuffer.isView(value) || OPAQUE_CLASSES.some((opaque) => value instanceof opaque)) {
      throw this.#error(`is a ${value.constructor.name}, whose content JSON would lose`);
    }
  }

  #error(problem: string): JsonValueError {
    return new JsonValueError(formatPath(this.#path), problem);
  }
}

function resolveToJson(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const { toJSON } = value as { toJSON?: unknown };
  return typeof toJSON === 'function' ? (toJSON.call(value, key) as unknown) : value;
}

function nameOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (Array.isArray(value)) return 'an array';
  return `a ${typeof value}`;
}

function formatPath(path: readonly (string | number)[]): string {
  let text = '';
  for (const step of path) {
    if (typeof step === 'number') text += `[${step}]`;
    else if (!IDENTIFIER.test(step)) text += `[${JSON.stringify(step)}]`;
    else text += text === '' ? step : `.${step}`;
  }
  return text;
}
