/** The plan is a function of the seed, and has every kind of fault. */
import test from 'ava';
import { type Act, actOf, FAULT_KINDS, planOf } from './plan.js';

function acts(seed: number, count: number): Act[] {
  return Array.from({ length: count }, (_, index) => actOf(seed, index + 1));
}

test('the same seed gives the same plan', (t) => {
  t.deepEqual(acts(7, 9), acts(7, 9));
});

test('a plan is its acts, one after the other, and each stands alone', (t) => {
  const plan = planOf(7);
  t.deepEqual([plan.next().value, plan.next().value], acts(7, 2));
  t.deepEqual(actOf(7, 3), acts(7, 3)[2]);
});

test('another seed gives another plan', (t) => {
  t.notDeepEqual(acts(7, 1), acts(8, 1));
});

test('a plan comes to every kind of fault', (t) => {
  const kinds = new Set(acts(1, 40).flatMap(({ steps }) => steps.map(({ fault }) => fault.kind)));
  t.deepEqual([...kinds].sort(), [...FAULT_KINDS].sort());
});

test('clock steps stay within what results are remembered for', (t) => {
  for (const { steps } of acts(2, 40)) {
    for (const { fault } of steps)
      if (fault.kind === 'clock-step') t.true(Math.abs(fault.offsetMs) <= 6 * 60_000);
  }
});
