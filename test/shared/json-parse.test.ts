import test from 'ava';
import fc from 'fast-check';
import { parseJson } from '../../shared/json-parse.js';

/** Whatever the parser gives, with bigints as the numbers that JSON.parse would give. */
function withoutBigints(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (Array.isArray(value)) return value.map(withoutBigints);
  if (typeof value !== 'object' || value === null) return value;
  // JSON.parse and fromEntries both define __proto__ as a member.
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, withoutBigints(member)]),
  );
}

function outcomeOf(parse: () => unknown): unknown {
  try {
    return { value: parse() };
  } catch (error) {
    return error instanceof SyntaxError ? 'SyntaxError' : error;
  }
}

test('JSON is parsed as JSON.parse does', (t) => {
  fc.assert(
    fc.property(fc.json(), fc.constantFrom(0, 2), (text, indent) => {
      const spaced = JSON.stringify(JSON.parse(text), null, indent);
      t.deepEqual(withoutBigints(parseJson(spaced)), JSON.parse(spaced));
    }),
  );
});

test('the slow path agrees with JSON.parse on texts and on damaged texts', (t) => {
  const edit = fc.tuple(
    fc.nat(),
    fc.nat(2),
    fc.constantFrom(
      ...'{}[]:,"\\ \t\n\r\u0000-+.0123456789eEutfnrs/'.split(''),
      '😀',
      '__proto__',
      '\\u00e9',
    ),
  );
  fc.assert(
    fc.property(fc.json({ maxDepth: 3 }), fc.array(edit, { maxLength: 3 }), (json, edits) => {
      let text = json;
      for (const [place, removed, inserted] of edits) {
        const at = place % (text.length + 1);
        text = text.slice(0, at) + inserted + text.slice(at + removed);
      }
      // NaN in front sends both halves through the slow path, null through the native parser.
      const expected = outcomeOf(() => (JSON.parse(`[null,${text}]`) as unknown[]).slice(1));
      const slow = outcomeOf(() =>
        withoutBigints((parseJson(`[NaN,${text}]`) as unknown[]).slice(1)),
      );
      t.deepEqual(slow, expected, text);
    }),
    { numRuns: 5_000 },
  );
});

test('integers keep every digit', (t) => {
  fc.assert(
    fc.property(fc.bigInt(), fc.constantFrom('', ' ', '\n'), (integer, space) => {
      const isSafe = Number.isSafeInteger(Number(integer));
      const expected = isSafe ? Number(integer) : integer;
      t.deepEqual(parseJson(`{"a":${space}${integer}${space}}`), { a: expected });
      t.deepEqual(parseJson(`[${integer},${integer}]`), [expected, expected]);
      t.is(parseJson(`${integer}`), expected);
    }),
  );
});

const values: readonly (readonly [text: string, value: unknown])[] = [
  ['9007199254740991', Number.MAX_SAFE_INTEGER],
  ['9007199254740992', 9007199254740992n],
  ['-9007199254740991', -Number.MAX_SAFE_INTEGER],
  ['-9007199254740992', -9007199254740992n],
  ['1180591620717411303424', 2n ** 70n],
  ['9007199254740993.0', 9007199254740992],
  ['9007199254740993e0', 9007199254740992],
  ['12345678901234567890E2', 1234567890123456800000],
  ['0.1234567890123456789', 0.12345678901234568],
  ['1e20', 1e20],
  ['1e999', Number.POSITIVE_INFINITY],
  ['-0', -0],
  ['[NaN,-0]', [Number.NaN, -0]],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  [' -Infinity ', Number.NEGATIVE_INFINITY],
  ['{"a":NaN,"b":[Infinity,-Infinity]}', { a: Number.NaN, b: [Infinity, -Infinity] }],
  ['"NaN 12345678901234567890"', 'NaN 12345678901234567890'],
  ['{"Infinity":"a,9007199254740993"}', { Infinity: 'a,9007199254740993' }],
  ['[NaN,"\\u00e9\\n\\\\\\"","\\ud800"]', [Number.NaN, 'é\n\\"', '\ud800']],
  ['[NaN,{},[],"",true,false,null]', [Number.NaN, {}, [], '', true, false, null]],
  ['{"a":NaN,"b":1,"a":2}', { a: 2, b: 1 }],
];

for (const [text, value] of values) {
  test(`value: ${text}`, (t) => {
    t.deepEqual(parseJson(text), value);
  });
}

const refusals: readonly string[] = [
  '',
  ' ',
  '{',
  'nan',
  'NaNx',
  '-NaN',
  '+Infinity',
  '- Infinity',
  'infinity',
  '[NaN,]',
  '[NaN',
  '[NaN}',
  '{"a":NaN,}',
  '{"a":NaN',
  '{"a" NaN}',
  '{NaN:1}',
  'NaN NaN',
  '["NaN]',
  '["NaN\\"]',
  '["NaN\n"]',
  '[NaN,01]',
  '[NaN,1.]',
  '[NaN,.5]',
  '[NaN,1e]',
  '[NaN,+1]',
  '[NaN,"\\x"]',
  '[NaN\u00a0]',
  '[NaN,undefined]',
  '9007199254740993n',
  '09007199254740993',
  '[9007199254740993',
];

for (const text of refusals) {
  test(`refused: ${JSON.stringify(text)}`, (t) => {
    t.throws(() => parseJson(text), { instanceOf: SyntaxError });
  });
}

for (const scalar of ['1', 'NaN', '9007199254740993']) {
  test(`__proto__ is an own member beside ${scalar}`, (t) => {
    const parsed = parseJson(`{"__proto__":{"x":${scalar}},"__proto__":${scalar}}`) as object;
    t.deepEqual(Object.keys(parsed), ['__proto__']);
    t.is(Object.getPrototypeOf(parsed), Object.prototype);
    const descriptor = Object.getOwnPropertyDescriptor(parsed, '__proto__');
    t.like(descriptor, { configurable: true, enumerable: true, writable: true });
    t.is(String(descriptor?.value), scalar);
  });

  test(`a depth of 100,000 does not end the process: ${scalar}`, (t) => {
    const depth = 100_000;
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      let value = parseJson(`${open.repeat(depth)}${scalar}${close.repeat(depth)}`);
      let levels = 0;
      while (typeof value === 'object' && value !== null) {
        value = Object.values(value)[0] as unknown;
        levels += 1;
      }
      t.is(levels, depth);
      t.throws(() => parseJson(`${open.repeat(depth)}${scalar}`), { instanceOf: SyntaxError });
    }
  });
}
