/** Randomness that can be repeated: the seed is logged, and can be given by the environment. */
import type { ExecutionContext } from 'ava';

/** Gives whole numbers below a bound. */
export type Random = (below: number) => number;

/** Seeded from `EVENTLOGD_TEST_SEED` or anew. */
export function seededRandom(t: ExecutionContext): Random {
  const given = process.env['EVENTLOGD_TEST_SEED'];
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given);
  t.log(`EVENTLOGD_TEST_SEED=${seed}`);
  return randomOf(seed);
}

/** Mulberry32: the same seed gives the same numbers. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}
