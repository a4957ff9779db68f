import test from 'ava';
import fc from 'fast-check';
import {
  decodeText,
  encodeEvent,
  findMember,
  removeMembers,
  scalarOf,
  scanEventText,
} from '../../client/event-text.js';

import { EventTooLargeError, InvalidEventError } from '../../client/index.js';
import { jsonValues } from '../support/json-values.js';

function scanned(text: string): ReturnType<typeof scanEventText> {
  return scanEventText(Buffer.from(text), 1_000_000);
}

test('removing members leaves the others as they are', (t) => {
  const rows: [string, string][] = [
    ['{"x":1}', '{}'],
    ['{ "x" : 1 }', '{ }'],
    ['{"x":1,"a":1.0}', '{"a":1.0}'],
    ['{"a":1.0, "x":1}', '{"a":1.0}'],
    ['{"a":1.0, "x":1, "b" : "x"}', '{"a":1.0,"b" : "x"}'],
    ['{"x":1,"x":2,"a":{"x":1}} ', '{"a":{"x":1}} '],
    ['{"\\u0078":1,"a":1}', '{"a":1}'],
    ['{"a":1}', '{"a":1}'],
  ];
  for (const [before, after] of rows) {
    t.is(decodeText(removeMembers(scanned(before), ({ key }) => key === 'x')), after);
  }
});

test('removing members of any object gives the object without them', (t) => {
  const value = fc.dictionary(fc.string({ maxLength: 1 }), jsonValues(), {
    noNullPrototype: true,
  });
  fc.assert(
    fc.property(value, fc.string({ maxLength: 1 }), (object, key) => {
      const text = scanEventText(encodeEvent(object), 1_000_000);
      const rest = JSON.parse(decodeText(removeMembers(text, (member) => member.key === key)));
      const { [key]: _removed, ...wanted } = JSON.parse(JSON.stringify(object));
      t.deepEqual(rest, wanted);
    }),
  );
});

test('scalars are read with their escapes, the last of several keys wins', (t) => {
  const text = scanned(
    '{"a":"\\u0041\\n","n":-1.5e3,"t":true,"f":false,"z":null,"o":{},"l":[],"a":"b"}',
  );
  const read = (key: string): unknown => scalarOf(text, findMember(text, key));
  t.is(read('a'), 'b');
  t.is(read('n'), -1_500);
  t.is(read('t'), true);
  t.is(read('f'), false);
  t.is(read('z'), null);
  t.is(read('o'), undefined);
  t.is(read('l'), undefined);
  t.is(read('missing'), undefined);
});

test('texts that are too large or no object are refused', (t) => {
  const large = t.throws(() => scanEventText(Buffer.from('{"a":1}'), 6), {
    instanceOf: EventTooLargeError,
  });
  t.is(large?.limitBytes, 6);
  for (const text of [
    '',
    '[]',
    '{',
    '{"a":1',
    '{"a":\t1}',
    '{"a":NaN}',
    '{"a":1}x',
    '{"a":"\\q"}',
  ]) {
    t.throws(() => scanned(text), { instanceOf: InvalidEventError }, text);
  }
  t.throws(() => scanEventText(Buffer.from([0x7b, 0xff, 0x7d]), 10), {
    instanceOf: InvalidEventError,
    message: /invalid UTF-8 at byte 1/,
  });
});
