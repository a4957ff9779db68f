import test from 'ava';
import fc from 'fast-check';
import { withSeq } from '../../daemon/repair/seq-bytes.js';

const ROWS: readonly (readonly [string, string, string])[] = [
  ['the value alone is replaced', '{"a":1,"seq":2,"b":3}', '{"a":1,"seq":77,"b":3}'],
  ['white space around it stays', '{"seq" :\t 2 , "b":3}\r', '{"seq" :\t 77 , "b":3}\r'],
  ['a key that is missing goes last', '{"a":{"seq":1}}', '{"a":{"seq":1},"seq":77}'],
  ['an empty object', '{ }', '{ "seq":77}'],
  ['a value of another type', '{"seq":{"x":[1,"}"]},"b":1}', '{"seq":77,"b":1}'],
  [
    'the last of two keys, which is the one that readers take',
    '{"seq":1,"seq":2}',
    '{"seq":1,"seq":77}',
  ],
  ['an escaped key', '{"s\\u0065q":1}', '{"s\\u0065q":77}'],
  [
    'numbers that are no JSON',
    '{"a":NaN,"seq":Infinity,"b":-Infinity}',
    '{"a":NaN,"seq":77,"b":-Infinity}',
  ],
  [
    'strings that look like members',
    '{"a":"\\",\\"seq\\":1","b":"seq"}',
    '{"a":"\\",\\"seq\\":1","b":"seq","seq":77}',
  ],
];

for (const [title, line, wanted] of ROWS) {
  test(title, (t) => {
    t.is(withSeq('turns', Buffer.from(line), 77).toString(), wanted);
  });
}

test('a run that lacks its seq gets it in the style of its line', (t) => {
  t.is(withSeq('runs', Buffer.from('{"a": 1}'), 5).toString(), '{"a": 1, "seq": 5}');
});

test('for any object: the seq is the new one and all else is as it was', (t) => {
  const objects = fc.dictionary(fc.oneof(fc.string(), fc.constant('seq')), fc.jsonValue());
  fc.assert(
    fc.property(objects, fc.constantFrom('turns' as const, 'runs' as const), (object, journal) => {
      const line = withSeq(journal, Buffer.from(JSON.stringify(object)), 123).toString();
      t.deepEqual(JSON.parse(line), {
        ...(JSON.parse(JSON.stringify(object)) as object),
        seq: 123,
      });
    }),
  );
});
