import { Buffer } from 'node:buffer';
import test from 'ava';
import fc from 'fast-check';
import { escapeLineSeparators } from '../../shared/json-escape.js';

const SEPARATORS = /[\u0085\u2028\u2029]/;

/** Characters around the three, and neighbours of their bytes. */
const text = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\u0085',
        '\u2028',
        '\u2029',
        '\u0084',
        '\u00c5',
        '\u2027',
        '\u202a',
        '\u2068',
      ),
      fc.constantFrom('\\u2028', '\\', '"', 'a', '\ue280', '\u3000'),
      fc.string({ unit: 'binary', maxLength: 3 }),
    ),
  )
  .map((parts) => parts.join(''));

test('the escaped text parses to the same value and holds no separator', (t) => {
  fc.assert(
    fc.property(fc.dictionary(text, fc.array(text)), (value) => {
      const json = JSON.stringify(value);
      const bytes = Buffer.from(json);
      const escaped = Buffer.from(escapeLineSeparators(bytes));
      t.notRegex(escaped.toString(), SEPARATORS);
      t.deepEqual(JSON.parse(escaped.toString()), JSON.parse(json));
      t.is(bytes.toString(), json, 'the input is left alone');
      t.is(escapeLineSeparators(escaped), escaped, 'a second time changes nothing');
    }),
    { numRuns: 500 },
  );
});

test('each separator has its own escape', (t) => {
  const escaped = escapeLineSeparators(Buffer.from('{"\u2028":"a\u2029\u0085"}'));
  t.is(Buffer.from(escaped).toString(), '{"\\u2028":"a\\u2029\\u0085"}');
});

test('a text without separators is given back as it is', (t) => {
  for (const plain of ['', '{}', '{"a":"é\u00a0 “quoted” …"}']) {
    const bytes = new TextEncoder().encode(plain);
    t.is(escapeLineSeparators(bytes), bytes);
  }
});

test('what lies outside a view is neither read nor changed', (t) => {
  const memory = new TextEncoder().encode('\u2028"a\u0085"\u2029');
  const before = memory.slice();
  const escaped = escapeLineSeparators(memory.subarray(3, 8));
  t.is(Buffer.from(escaped).toString(), '"a\\u0085"');
  t.deepEqual(memory, before);
});

test('bytes that only begin like a separator at the end are kept', (t) => {
  for (const tail of [[0xe2], [0xe2, 0x80], [0xc2]]) {
    const bytes = Uint8Array.from([0x22, ...tail]);
    t.is(escapeLineSeparators(bytes), bytes);
  }
});
