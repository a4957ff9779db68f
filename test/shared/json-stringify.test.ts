import test from 'ava';
import fc from 'fast-check';
import { parseJson } from '../../shared/json-parse.js';
import { JsonValueError, stringifyEvent } from '../../shared/json-stringify.js';

const LIMIT = { depthMax: 512 };

function isHeldByJson(value: number): boolean {
  return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
}

const scalar = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)) }),
  fc.double().filter(isHeldByJson),
  fc.maxSafeInteger(),
  fc.boolean(),
  fc.constant(null),
);
const unsafeBigint = fc
  .bigInt()
  .map((integer) => (integer < 0n ? integer - 2n ** 53n : integer + 2n ** 53n));

function eventOf(leaf: fc.Arbitrary<unknown>): fc.Arbitrary<Record<string, unknown>> {
  const key = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('__proto__', 'toString', '0'),
  );
  const { event } = fc.letrec<{ value: unknown; event: Record<string, unknown> }>((tie) => ({
    value: fc.oneof({ maxDepth: 4 }, leaf, tie('event'), fc.array(tie('value'), { maxLength: 4 })),
    event: fc.dictionary(key, tie('value'), { maxKeys: 5 }),
  }));
  return event;
}

test('plain data is written as JSON.stringify does, on both ways through', (t) => {
  fc.assert(
    fc.property(eventOf(scalar), (event) => {
      const expected = JSON.stringify(event);
      t.is(stringifyEvent(event, LIMIT), expected);
      // A toJSON keeps the value from the native writer.
      t.is(
        stringifyEvent({ toJSON: () => ({ event, last: 0 }) }, LIMIT),
        `{"event":${expected},"last":0}`,
      );
      t.is(stringifyEvent({ event, last: 1n }, LIMIT), `{"event":${expected},"last":1}`);
    }),
    { numRuns: 500 },
  );
});

test('what is written is read back as it was, bigints included', (t) => {
  fc.assert(
    fc.property(eventOf(fc.oneof(scalar, unsafeBigint)), (event) => {
      const read = parseJson(stringifyEvent(event, LIMIT));
      t.deepEqual(read, parseJson(stringifyEvent(read, LIMIT)));
      t.deepEqual(plain(read), plain(event));
    }),
    { numRuns: 500 },
  );
});

/** Minus zero as zero, and every object with the same prototype. */
function plain(value: unknown): unknown {
  if (value === 0) return 0;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, plain(member)]));
}

class Point {
  readonly x = 1;
  readonly #y = 2;
  get y(): number {
    return this.#y;
  }
}

const date = new Date(1_790_000_000_123);

const written: readonly (readonly [name: string, event: object, text: string])[] = [
  ['an undefined member is left out', { a: undefined, b: [{ c: undefined }] }, '{"b":[{}]}'],
  ['… beside a bigint too', { a: undefined, b: 1n, c: undefined }, '{"b":1}'],
  ['a date', { at: date }, '{"at":"2026-09-21T14:13:20.123Z"}'],
  ['an invalid date', { at: new Date(Number.NaN) }, '{"at":null}'],
  ['minus zero', { a: -0, b: [-0, 1n] }, '{"a":0,"b":[0,1]}'],
  ['lone surrogates', { '\ud800': '\udc00x\ud83d\ude00' }, '{"\\ud800":"\\udc00x😀"}'],
  ['… beside a bigint too', { '\ud800': '\udc00', b: 1n }, '{"\\ud800":"\\udc00","b":1}'],
  ['a bigint beyond every float', { a: -(2n ** 1100n) }, `{"a":${-(2n ** 1100n)}}`],
  ['a class by its own members', { p: new Point() }, '{"p":{"x":1}}'],
  [
    'an object without prototype',
    Object.assign(Object.create(null), { a: 1 }) as object,
    '{"a":1}',
  ],
  ['a toJSON that gives undefined', { a: { toJSON: () => undefined }, b: 1 }, '{"b":1}'],
  ['a toJSON with its key', { k: [{ toJSON: (key: string) => `at ${key}` }] }, '{"k":["at 0"]}'],
  ['a toJSON that gives a bigint', { a: { toJSON: () => 2n ** 64n } }, `{"a":${2n ** 64n}}`],
  ['a toJSON that is data', { toJSON: 'x' }, '{"toJSON":"x"}'],
  ['keys that are symbols are not members', { [Symbol('s')]: 1, a: 2 }, '{"a":2}'],
  ['an empty object', {}, '{}'],
  ['a key __proto__', JSON.parse('{"__proto__":{"a":1}}') as object, '{"__proto__":{"a":1}}'],
  ['a Buffer, which has a toJSON', { b: Buffer.from([1]) }, '{"b":{"type":"Buffer","data":[1]}}'],
  [
    'the largest integers',
    { a: [2 ** 53 - 1, 1 - 2 ** 53] },
    '{"a":[9007199254740991,-9007199254740991]}',
  ],
];

for (const [name, event, text] of written) {
  test(`written: ${name}: ${text.slice(0, 40)}`, (t) => {
    t.is(stringifyEvent(event, LIMIT), text);
  });
}

test('one object in two places is no cycle', (t) => {
  const shared = { x: [1n] };
  t.is(stringifyEvent({ a: shared, b: [shared] }, LIMIT), '{"a":{"x":[1]},"b":[{"x":[1]}]}');
});

const cycle: Record<string, unknown> = {};
cycle['list'] = [{ self: cycle }];
const arrayCycle: unknown[] = [];
arrayCycle.push(arrayCycle);

function withHiddenToJson(): object {
  return Object.defineProperty({ b: 1 }, 'toJSON', { value: () => Number.NaN });
}

const refusals: readonly (readonly [
  name: string,
  event: unknown,
  path: string,
  message: RegExp,
])[] = [
  ['undefined at the top', undefined, '', /^the event must be an object, not undefined$/],
  ['null at the top', null, '', /not null$/],
  ['an array at the top', [1], '', /not an array$/],
  ['a string at the top', 'x', '', /not a string$/],
  ['a date at the top', date, '', /not a string$/],
  ['a function at the top', () => 1, '', /not a function$/],
  ['a bigint at the top', 1n, '', /not a bigint$/],
  ['a Map at the top', new Map(), '', /^the event is a Map/],
  ['a function', { a: { b: () => 1 } }, 'a.b', /^a\.b is a function, which JSON cannot hold$/],
  ['a symbol', { a: Symbol('s') }, 'a', /is a symbol/],
  ['undefined in an array', { a: [1, undefined] }, 'a[1]', /is undefined/],
  ['a hole in an array', { a: Object.assign([], { length: 2 }) }, 'a[0]', /is undefined/],
  ['NaN', { content: { items: [0, 1, 2, { x: Number.NaN }] } }, 'content.items[3].x', /is NaN/],
  ['Infinity', { a: Infinity }, 'a', /is Infinity/],
  ['-Infinity', { a: -Infinity }, 'a', /is -Infinity/],
  [
    'an unsafe integer',
    { a: 2 ** 53 },
    'a',
    /beyond 2\^53 as a number \(9007199254740992\).*bigint/,
  ],
  ['a huge integer', { a: -1e300 }, 'a', /beyond 2\^53/],
  ['a cycle', cycle, 'list[0].self', /contains itself/],
  ['a cycle of an array', { a: arrayCycle }, 'a[0]', /contains itself/],
  ['a key that is no identifier', { 'a b': { '0': Number.NaN } }, '["a b"]["0"]', /is NaN/],
  ['a Map', { m: new Map([[1, 2]]) }, 'm', /is a Map, whose content JSON would lose/],
  ['a Set', { s: [new Set()] }, 's[0]', /is a Set/],
  ['an Error', { error: new TypeError('x') }, 'error', /is a TypeError/],
  ['a typed array', { b: new Uint8Array(2) }, 'b', /is a Uint8Array/],
  ['a boxed number', { n: Object(Number.NaN) as unknown }, 'n', /is a Number/],
  ['what a toJSON gives', { a: { toJSON: () => [Number.NaN] } }, 'a[0]', /is NaN/],
  ['what a hidden toJSON gives', { a: withHiddenToJson() }, 'a', /is NaN/],
  ['a value behind a deeper one', { a: { b: [1n] }, c: Number.NaN }, 'c', /^c is NaN/],
  ['an element behind a deeper one', { a: [[{ b: 1n }], Number.NaN] }, 'a[1]', /is NaN/],
  ['a function behind a bigint', { a: 1n, b: [() => 1] }, 'b[0]', /is a function/],
];

for (const [name, event, path, message] of refusals) {
  test(`refused: ${name}`, (t) => {
    const error = t.throws(() => stringifyEvent(event, LIMIT), { instanceOf: JsonValueError });
    t.is(error?.path, path);
    t.is(error?.name, 'JsonValueError');
    t.regex(error?.message ?? '', message);
  });
}

function nested(depth: number, leaf: unknown): object {
  let value: unknown = leaf;
  for (let level = 1; level < depth; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return { event: value };
}

test('depth counts open containers, the event included', (t) => {
  for (const leaf of [0, 1n]) {
    t.is(typeof stringifyEvent(nested(512, leaf), LIMIT), 'string');
    const error = t.throws(() => stringifyEvent(nested(513, leaf), LIMIT), {
      instanceOf: JsonValueError,
    });
    t.regex(error?.message ?? '', /is nested deeper than 512$/);
    t.regex(error?.path ?? '', /^event(\.a|\[0\])+$/);
  }
  t.throws(() => stringifyEvent({}, { depthMax: 0 }), { instanceOf: JsonValueError });
});

test('a depth of 100,000 is refused without overflowing the stack', (t) => {
  for (const leaf of [0, 1n, undefined]) {
    t.throws(() => stringifyEvent(nested(100_000, leaf), LIMIT), { instanceOf: JsonValueError });
  }
  // A toJSON that never ends is caught by the depth as well.
  const endless = { toJSON: (): object => ({ next: { ...endless } }) };
  t.throws(() => stringifyEvent(endless, LIMIT), { instanceOf: JsonValueError });
});
