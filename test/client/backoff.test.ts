import test from 'ava';
import { Backoff } from '../../client/backoff.js';

test('pauses grow to a second and start over', (t) => {
  for (const random of [0, 0.5, 0.999]) {
    const backoff = new Backoff(() => random);
    const pauses = Array.from({ length: 10 }, () => backoff.next());
    for (const [index, range] of [
      20, 40, 80, 160, 320, 640, 1_000, 1_000, 1_000, 1_000,
    ].entries()) {
      t.is(pauses[index], range / 2 + (range / 2) * random);
    }
    backoff.reset();
    t.is(backoff.next(), 10 + 10 * random);
  }
});
