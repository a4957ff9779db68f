import test from 'ava';
import fc from 'fast-check';
import { lineFacts, rowKindKey } from '../../../daemon/storage/line-facts.js';
import type { Journal } from '../../../shared/events.js';
import { jsonValues } from '../../support/json-values.js';

function facts(journal: Journal, text: string): ReturnType<typeof lineFacts> {
  return lineFacts(journal, Buffer.from(text));
}

test('a line that is not UTF-8, not JSON or no object is malformed', (t) => {
  for (const text of ['[]', '42', 'null', '"{}"', '{', '{}x', '{"a":}', "{'a':1}", '\0', '{}{}']) {
    t.is(facts('turns', text), null, text);
    t.is(facts('runs', text), null, text);
  }
  t.is(lineFacts('turns', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])), null);
});

test('any JSON object is an event, with or without anything that is known', (t) => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), jsonValues(), { noNullPrototype: true }), (record) => {
      t.not(facts('turns', JSON.stringify(record)), null);
      t.not(facts('runs', JSON.stringify(record)), null);
    }),
  );
  t.not(facts('turns', '{"a":NaN,"b":Infinity,"c":-Infinity,"d":1180591620717411303424}'), null);
});

test('what a turn line says', (t) => {
  const kind = { journal: 'turns', turnId: '', streamId: '', role: 'other' } as const;
  t.deepEqual(facts('turns', '{}'), { seq: null, createdAt: 0, kind });
  t.deepEqual(
    facts(
      'turns',
      '{"event":"submitted","turn_id":" t\\n","stream_id":"s","created_at":1.5,"seq":4}',
    ),
    { seq: 4, createdAt: 1.5, kind: { ...kind, turnId: 't', streamId: 's', role: 'submitted' } },
  );
  const roles = ['completed', 'interrupted', 'submitted', 'Completed', 'assistant_started'].map(
    (event) => facts('turns', JSON.stringify({ event }))?.kind,
  );
  t.deepEqual(
    roles.map((one) => (one?.journal === 'turns' ? one.role : '')),
    ['terminal', 'terminal', 'submitted', 'other', 'other'],
  );
  const turnId = (text: string): string => {
    const found = facts('turns', `{"turn_id":${text}}`)?.kind;
    return found?.journal === 'turns' ? found.turnId : '-';
  };
  t.deepEqual(['" "', 'null', '7', '"__proto__"', 'true'].map(turnId), [
    '',
    '',
    '7',
    '__proto__',
    'true',
  ]);
  const createdAt = (text: string): unknown => facts('turns', `{"created_at":${text}}`)?.createdAt;
  t.deepEqual(
    ['"1"', 'NaN', 'Infinity', '1e999', 'true', '-3', '9007199254740993'].map(createdAt),
    [0, 0, 0, 0, 0, -3, 9_007_199_254_740_992],
  );
});

test('what a run line says', (t) => {
  const text =
    '{"thread_id":"t","run_id":"r","event_type":"e","category":"c","content":"","metadata":{"task_id":"k"},"seq":9,"created_at":"2026-01-02T03:04:05.678901+00:00"}';
  t.deepEqual(facts('runs', text), {
    seq: 9,
    createdAt: Date.UTC(2026, 0, 2, 3, 4, 5, 678) * 1000 + 901,
    kind: { journal: 'runs', runId: 'r', eventType: 'e', category: 'c', taskId: 'k' },
  });
  const none = { journal: 'runs', runId: '', eventType: '', category: '', taskId: null };
  t.deepEqual(facts('runs', '{}'), { seq: null, createdAt: 0, kind: none as never });
  t.deepEqual(facts('runs', '{"run_id":1,"metadata":[],"created_at":5}')?.kind, none as never);
});

test('a seq that is no whole number from 0 on is unusable', (t) => {
  const seq = (text: string): unknown => facts('runs', `{"seq":${text}}`)?.seq;
  t.deepEqual(['0', '1.0', '4503599627370496'].map(seq), [0, 1, 2 ** 52]);
  const unusable = ['-1', '1.5', '"1"', 'null', 'NaN', '4503599627370497', 'true', '[]'];
  t.deepEqual(
    unusable.map(seq),
    unusable.map(() => -1),
  );
});

test('kinds have the same key if and only if they are the same', (t) => {
  const kind = fc.record({
    journal: fc.constant('runs' as const),
    runId: fc.constantFrom('a', 'b', '","'),
    eventType: fc.constantFrom('a', 'b', ''),
    category: fc.constantFrom('a', '","'),
    taskId: fc.constantFrom(null, 'null', ''),
  });
  fc.assert(
    fc.property(kind, kind, (a, b) => {
      t.is(rowKindKey(a) === rowKindKey(b), JSON.stringify(a) === JSON.stringify(b));
    }),
  );
});
