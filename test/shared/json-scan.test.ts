import { Buffer } from 'node:buffer';
import test from 'ava';
import fc from 'fast-check';
import { type JsonKind, type JsonScan, scanObject } from '../../shared/json-scan.js';

const DEPTH = { depthMax: 1_000_000 };

function scanText(text: string): JsonScan {
  return scanObject(Buffer.from(text), DEPTH);
}

/** The text as a strict parser sees it, or undefined where the scanner must refuse it. */
function oracle(bytes: Uint8Array): Record<string, unknown> | undefined {
  if (bytes.some((byte) => byte < 0x20)) return undefined;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    const value = JSON.parse(text) as unknown;
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

const spaces = fc.stringMatching(/^ {0,2}$/);

/** A string token: any characters, some of them written as escapes. */
const stringToken = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 3 }).map(quoted) },
      fc.constantFrom('\\"', '\\\\', '\\/', '\\b', '\\f', '\\n', '\\r', '\\t'),
      fc.stringMatching(/^\\u[0-9a-fA-F]{4}$/),
    ),
    { maxLength: 4 },
  )
  .map((parts) => `"${parts.join('')}"`);

function quoted(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

const scalarToken = fc.oneof(
  stringToken,
  fc.constantFrom('true', 'false', 'null', '0', '-0', '1.0', '1e5', '-2E-7', '0.5e+3', '1e999'),
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.bigInt().map(String),
);

/** Texts of values and objects with spaces anywhere, and with duplicate keys now and then. */
const { objectText } = fc.letrec<{ value: string; objectText: string; arrayText: string }>(
  (tie) => ({
    value: fc.oneof({ maxDepth: 4 }, scalarToken, tie('objectText'), tie('arrayText')),
    arrayText: fc
      .array(fc.tuple(spaces, tie('value'), spaces), { maxLength: 3 })
      .map((elements) => `[${elements.map((parts) => parts.join('')).join(',')}]`),
    objectText: fc
      .tuple(
        fc.array(
          fc.tuple(
            spaces,
            fc.oneof(stringToken, fc.constant('"a"')),
            spaces,
            fc.constant(':'),
            spaces,
            tie('value'),
            spaces,
          ),
          { maxLength: 4 },
        ),
        spaces,
      )
      .map(([members, blank]) => {
        const text = members.map((parts) => parts.join('')).join(',');
        return `{${text === '' ? blank : text}}`;
      }),
  }),
);

test('every object text is accepted, and each member lies where it is said to lie', (t) => {
  fc.assert(
    fc.property(spaces, objectText, spaces, (before, object, after) => {
      const bytes = Buffer.from(before + object + after);
      const scan = scanObject(bytes, DEPTH);
      if (!scan.ok) throw new Error(`${scan.reason} at ${scan.offset}`);
      const parsed = oracle(bytes);
      t.deepEqual([...new Set(scan.members.map(({ key }) => key))].sort(), keysOf(parsed).sort());
      t.is(scan.closeBrace, bytes.lastIndexOf('}'));

      const rebuilt = new Map<string, unknown>();
      let behind = bytes.indexOf('{') + 1;
      for (const { key, keyStart, valueStart, valueEnd, kind } of scan.members) {
        t.regex(bytes.toString('utf8', behind, keyStart), /^,? *$/);
        const head = bytes.toString('utf8', keyStart, valueStart);
        t.is(JSON.parse(head.slice(0, head.lastIndexOf(':'))), key);
        const value = JSON.parse(bytes.toString('utf8', valueStart, valueEnd)) as unknown;
        t.is(kind, kindOf(value));
        rebuilt.set(key, value);
        behind = bytes.indexOf(',', valueEnd) === -1 ? valueEnd : bytes.indexOf(',', valueEnd);
      }
      for (const key of keysOf(parsed)) t.deepEqual(rebuilt.get(key), parsed?.[key]);
    }),
    { numRuns: 500 },
  );
});

function keysOf(object: Record<string, unknown> | undefined): string[] {
  return object === undefined ? [] : Object.keys(object);
}

function kindOf(value: unknown): JsonKind {
  if (value === null) return 'null';
  if (value === true) return 'true';
  if (value === false) return 'false';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'object') return 'object';
  return typeof value === 'number' ? 'number' : 'string';
}

/** Bytes that are likely to turn one valid text into another, or into one that almost is. */
const meaningfulByte = fc.oneof(
  fc.constantFrom(...Buffer.from('{}[]:,"\\ \t\n\r-+.0123456789eEutfnabl/')),
  fc.integer({ min: 0, max: 255 }),
);

test('on damaged texts the scanner agrees with JSON.parse within its stricter rules', (t) => {
  const edit = fc.tuple(fc.nat(), fc.constantFrom('replace', 'insert', 'remove'), meaningfulByte);
  fc.assert(
    fc.property(objectText, fc.array(edit, { minLength: 1, maxLength: 3 }), (text, edits) => {
      const bytes = [...Buffer.from(text)];
      for (const [place, kind, byte] of edits) {
        const at = place % (bytes.length + 1);
        if (kind === 'remove') bytes.splice(at, 1);
        else bytes.splice(at, kind === 'replace' ? 1 : 0, byte);
      }
      agree(Uint8Array.from(bytes));
    }),
    { numRuns: 5_000 },
  );
  t.pass();
});

test('on any bytes the scanner agrees with JSON.parse within its stricter rules', (t) => {
  const soup = fc.array(
    fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      ' ',
      '"',
      '"a"',
      '\\',
      '0',
      '-1',
      'true',
      '.',
      'e',
    ),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(soup, (parts) => agree(Buffer.from(`{${parts.join('')}`))),
    { numRuns: 5_000 },
  );
  fc.assert(fc.property(fc.uint8Array(), (bytes) => agree(bytes)));
  t.pass();
});

function agree(bytes: Uint8Array): void {
  const scan = scanObject(bytes, DEPTH);
  const parsed = oracle(bytes);
  if (scan.ok !== (parsed !== undefined)) {
    const text = Buffer.from(bytes).toString('latin1');
    throw new Error(`${JSON.stringify(text)}: ${JSON.stringify(scan)}`);
  }
  if (!scan.ok && (scan.offset < 0 || scan.offset > bytes.length || scan.reason === '')) {
    throw new Error(`offset ${scan.offset} of ${bytes.length}, reason '${scan.reason}'`);
  }
}

const refusals: readonly (readonly [text: string, offset: number, reason: string])[] = [
  ['', 0, 'the text ends before an object'],
  ['   ', 3, 'the text ends before an object'],
  ['[]', 0, 'expected an object'],
  ['"a"', 0, 'expected an object'],
  ['null', 0, 'expected an object'],
  ['\ufeff{}', 0, 'expected an object'],
  ['{', 1, 'the text ends before a key'],
  ['{"a"', 4, "the text ends before ':'"],
  ['{"a":', 5, 'the text ends before a value'],
  ['{"a":1', 6, "the text ends before ',' or '}'"],
  ['{"a":"b', 7, 'the text ends before the end of a string'],
  ['{"a":[1', 7, "the text ends before ',' or ']'"],
  ['{"a":1,}', 7, 'expected a key'],
  ['{"a":[1,]}', 8, 'expected a value'],
  ['{"a":[1}', 7, "expected ',' or ']'"],
  ['{"a":{"b":1]}', 11, "expected ',' or '}'"],
  ['{,}', 1, 'expected a key'],
  ['{a:1}', 1, 'expected a key'],
  ["{'a':1}", 1, 'expected a key'],
  ['{"a" 1}', 5, "expected ':'"],
  ['{"a":1 "b":2}', 7, "expected ',' or '}'"],
  ['{"a":NaN}', 5, 'expected a value'],
  ['{"a":Infinity}', 5, 'expected a value'],
  ['{"a":-Infinity}', 6, 'expected a digit'],
  ['{"a":nul}', 8, "expected 'null'"],
  ['{"a":True}', 5, 'expected a value'],
  ['{"a":01}', 6, "expected ',' or '}'"],
  ['{"a":-}', 6, 'expected a digit'],
  ['{"a":+1}', 5, 'expected a value'],
  ['{"a":.5}', 5, 'expected a value'],
  ['{"a":1.}', 7, 'expected a digit'],
  ['{"a":1e}', 7, 'expected a digit'],
  ['{"a":1e+}', 8, 'expected a digit'],
  ['{"a":0x1}', 6, "expected ',' or '}'"],
  ['{"a":"\\x"}', 6, 'bad escape in a string'],
  ['{"a":"\\u12g4"}', 6, 'bad escape in a string'],
  ['{"a":"\\u12"}', 6, 'bad escape in a string'],
  ['{"a":"\\', 6, 'bad escape in a string'],
  ['{"a":"x\ty"}', 7, 'control character 0x09'],
  ['{"a":"x\u0000y"}', 7, 'control character 0x00'],
  ['{"a\n":1}', 3, 'control character 0x0a'],
  ['{\t"a":1}', 1, 'control character 0x09'],
  ['{"a":\r1}', 5, 'control character 0x0d'],
  ['{"a":1}\n', 7, 'control character 0x0a'],
  ['{"a":1} {', 8, 'expected the end of the text'],
  ['{}x', 2, 'expected the end of the text'],
  ['{/**/}', 1, 'expected a key'],
];

for (const [text, offset, reason] of refusals) {
  test(`refused: ${JSON.stringify(text)}`, (t) => {
    t.deepEqual(scanText(text), { ok: false, reason, offset });
  });
}

test('every control character is refused, in a string and between tokens', (t) => {
  for (let code = 0; code < 0x20; code += 1) {
    const character = String.fromCharCode(code);
    const reason = `control character 0x${code.toString(16).padStart(2, '0')}`;
    t.deepEqual(scanText(`{"a":"b${character}"}`), { ok: false, reason, offset: 7 });
    t.deepEqual(scanText(`{"a":${character}"b"}`), { ok: false, reason, offset: 5 });
  }
  t.true(scanText('{"a":"\u007f\u0080"}').ok, 'others may stand in a string');
});

const invalidUtf8: readonly (readonly [name: string, bytes: number[]])[] = [
  ['a lone continuation byte', [0x80]],
  ['an overlong NUL', [0xc0, 0x80]],
  ['a raw surrogate', [0xed, 0xa0, 0x80]],
  ['a raw pair of surrogates', [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]],
  ['a character beyond U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ['a lead byte that no character has', [0xff]],
  ['a character cut short', [0xe2, 0x82]],
  ['a cut character that begins like U+FFFD', [0xef, 0xbf]],
];

for (const [name, bad] of invalidUtf8) {
  test(`invalid UTF-8 is refused at its first byte: ${name}`, (t) => {
    for (const before of ['{"a":"', '{"a":"é€😀\ufffd']) {
      const head = Buffer.from(before);
      const expected = { ok: false, reason: 'invalid UTF-8', offset: head.length };
      const bytes = Buffer.concat([head, Buffer.from(bad), Buffer.from('"}')]);
      t.deepEqual(scanObject(bytes, DEPTH), expected);
      const cut = bytes.subarray(0, head.length + bad.length);
      t.deepEqual(scanObject(cut, DEPTH), expected);
    }
  });
}

test('duplicates and __proto__ are members like any other', (t) => {
  const scan = scanText('{"a":1,"__proto__":{},"\\u0061":2,"":3}');
  t.true(scan.ok);
  if (scan.ok)
    t.deepEqual(
      scan.members.map(({ key }) => key),
      ['a', '__proto__', 'a', ''],
    );
});

test('a key is read right whatever keys were read before', (t) => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary', maxLength: 40 })), (keys) => {
      const scan = scanText(`{${keys.map((key) => `${JSON.stringify(key)}:0`).join(',')}}`);
      t.true(scan.ok);
      if (scan.ok)
        t.deepEqual(
          scan.members.map(({ key }) => key),
          keys,
        );
    }),
  );
});

test('what lies outside a view is not read', (t) => {
  const memory = new TextEncoder().encode('{"x":{"a":1}}');
  const scan = scanObject(memory.subarray(5, 12), DEPTH);
  t.true(scan.ok);
  if (scan.ok) t.is(scan.closeBrace, 6);
});

test('depth counts open containers, the top-level object included', (t) => {
  const nested = (depth: number): Buffer =>
    Buffer.from(`{"a":${'[{"b":'.repeat((depth - 1) / 2)}0${'}]'.repeat((depth - 1) / 2)}}`);
  t.true(scanObject(nested(15), { depthMax: 15 }).ok);
  t.deepEqual(scanObject(nested(17), { depthMax: 16 }), {
    ok: false,
    reason: 'nested too deeply',
    offset: 5 + 7 * 6 + 1,
  });
  t.true(scanObject(Buffer.from('{}'), { depthMax: 1 }).ok);
  t.false(scanObject(Buffer.from('{"a":[]}'), { depthMax: 1 }).ok);
  t.false(scanObject(Buffer.from('{}'), { depthMax: 0 }).ok);
});

test('a million levels neither overflow the stack nor are accepted past the limit', (t) => {
  const open = Buffer.from(`{"a":${'['.repeat(1_000_000)}`);
  t.false(scanObject(open, { depthMax: 2_000_000 }).ok);
  t.deepEqual(scanObject(open, { depthMax: 512 }), {
    ok: false,
    reason: 'nested too deeply',
    offset: 5 + 511,
  });
  const whole = Buffer.concat([open, Buffer.from(`${']'.repeat(1_000_000)}}`)]);
  t.true(scanObject(whole, { depthMax: 1_000_001 }).ok);
});

test('members past their limit are refused', (t) => {
  const bytes = Buffer.from('{"a":1,"b":2,"c":3}');
  t.true(scanObject(bytes, { depthMax: 1, membersMax: 3 }).ok);
  t.deepEqual(scanObject(bytes, { depthMax: 1, membersMax: 2 }), {
    ok: false,
    reason: 'too many members',
    offset: 13,
  });
});
