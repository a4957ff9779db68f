import test from 'ava';
import fc from 'fast-check';
import { Call } from '../../client/call.js';
import { CallQueue } from '../../client/call-queue.js';

function call(id: number): Call {
  return new Call(id, { type: 'stats' }, null, { resolve: () => {}, reject: () => {} });
}

/** Takes the next call as the request table does. */
function take(queue: CallQueue): Call | null {
  const next = queue.peek();
  if (next === null) return null;
  queue.shift();
  next.moveTo('sent');
  return next;
}

test('whatever is taken, put back and given up: the queue keeps call order', (t) => {
  const step = fc.record({
    kind: fc.constantFrom('push', 'push', 'take', 'putBack', 'leave'),
    pick: fc.nat(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const queue = new CallQueue();
      let lastId = 0;
      let waiting: Call[] = [];
      const sent: Call[] = [];
      for (const { kind, pick } of steps) {
        if (kind === 'push') {
          lastId += 1;
          const pushed = call(lastId);
          waiting.push(pushed);
          queue.push(pushed);
        } else if (kind === 'take') {
          const taken = take(queue);
          t.is(taken, waiting.shift() ?? null);
          if (taken !== null) sent.push(taken);
        } else if (kind === 'putBack' && sent.length > 0) {
          const [back] = sent.splice(pick % sent.length, 1) as [Call];
          back.moveTo('unsent');
          queue.putBack(back);
          waiting = [...waiting, back].sort((one, other) => one.id - other.id);
        } else if (kind === 'leave' && waiting.length > 0) {
          const [left] = waiting.splice(pick % waiting.length, 1) as [Call];
          left.moveTo('settled');
          queue.leave();
        }
        t.is(queue.size, waiting.length);
      }
      t.deepEqual(
        queue.toArray().map(({ id }) => id),
        waiting.map(({ id }) => id),
      );
    }),
  );
});

test('calls that are given up do not pile up', (t) => {
  const queue = new CallQueue();
  for (let id = 1; id <= 10_000; id += 1) {
    const one = call(id);
    queue.push(one);
    one.moveTo('settled');
    queue.leave();
  }
  t.is(queue.size, 0);
  t.is(queue.peek(), null);
});

test('a call is unsent or sent, never both, and settled once', (t) => {
  const one = call(1);
  t.throws(() => one.moveTo('abandoned'));
  one.moveTo('sent');
  t.throws(() => one.moveTo('sent'));
  one.moveTo('abandoned');
  t.throws(() => one.moveTo('unsent'));
  one.moveTo('settled');
  t.throws(() => one.moveTo('sent'));
  t.not(one.takeEnd(), null);
  t.is(one.takeEnd(), null);
});
