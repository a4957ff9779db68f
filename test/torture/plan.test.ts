/** The plan is a function of the seed, and has every kind of fault. */
import test from 'ava';
import { actOf, type FaultKind, planOf } from './plan.js';

const KINDS: Record<FaultKind, true> = {
  kill: true,
  drain: true,
  'kill-at': true,
  'failed-sync': true,
  'failed-writes': true,
  'slow-sync': true,
  'clock-step': true,
  'power-loss': true,
  hang: true,
  'kill-client': true,
  'hang-client': true,
  'kill-subscriber': true,
  'hang-subscriber': true,
  'foreign-lines': true,
  'foreign-torn': true,
  'remove-file': true,
  'torn-log': true,
  'torn-journal': true,
  damage: true,
};

test('the same seed gives the same plan', (t) => {
  t.deepEqual([...planOf(7, 5)], [...planOf(7, 5)]);
  t.deepEqual([...planOf(7, 5)].slice(0, 2), [...planOf(7, 0.2)].slice(0, 2));
});

test('an act does not depend on those before it', (t) => {
  t.deepEqual([...planOf(7, 5)][2], actOf(7, 3));
});

test('another seed gives another plan', (t) => {
  t.notDeepEqual([...planOf(7, 1)], [...planOf(8, 1)]);
});

test('a plan comes to every kind of fault', (t) => {
  const kinds = new Set(
    [...planOf(1, 5)].flatMap(({ steps }) => steps.map(({ fault }) => fault.kind)),
  );
  t.deepEqual([...kinds].sort(), Object.keys(KINDS).sort());
});

test('clock steps stay within what results are remembered for', (t) => {
  for (const { steps } of planOf(2, 20)) {
    for (const { fault } of steps)
      if (fault.kind === 'clock-step') t.true(Math.abs(fault.offsetMs) <= 6 * 60_000);
  }
});
