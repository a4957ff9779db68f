import test from 'ava';
import { withRunIds } from '../../../client/cli/run-text.js';
import { InvalidEventError } from '../../../client/index.js';

const IDS = { threadId: 't1', runId: 'r1' };

function spliced(text: string): string {
  return Buffer.from(withRunIds(Buffer.from(text), IDS, 1_000)).toString();
}

test('ids are put before the text that stays as it is', (t) => {
  t.is(spliced('{"a": 1.0}'), '{"thread_id": "t1", "run_id": "r1", "a": 1.0}');
  t.is(spliced('{}'), '{"thread_id": "t1", "run_id": "r1"}');
  t.is(spliced(' {  } '), ' {  "thread_id": "t1", "run_id": "r1"} ');
  t.is(spliced('{"run_id":"r1","a":1}'), '{"thread_id": "t1", "run_id":"r1","a":1}');
  const whole = '{"a":18446744073709551616,"thread_id":"t1","run_id":"r\\u0031"}';
  t.is(spliced(whole), whole);
});

test('other ids and what is no object are refused', (t) => {
  t.is(
    t.throws(() => spliced('{"thread_id":"t2"}'), { instanceOf: InvalidEventError })?.path,
    'thread_id',
  );
  t.is(t.throws(() => spliced('{"run_id":7}'), { instanceOf: InvalidEventError })?.path, 'run_id');
  for (const text of ['[]', '{', '{"a":NaN}', '']) {
    t.throws(() => spliced(text), { instanceOf: InvalidEventError }, text);
  }
});
