/** Choices by a seeded random number. */
import { randomBytes } from 'node:crypto';
import type { Random } from '../../support/random.js';

export function pick<T>(random: Random, list: readonly T[]): T {
  return list[random(list.length)] as T;
}

/** True in so many of a hundred cases. */
export function chance(random: Random, percent: number): boolean {
  return random(100) < percent;
}

/** A whole number from the first to the last, both included. */
export function between(random: Random, first: number, last: number): number {
  return first + random(last - first + 1);
}

export function someBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random(256));
}

/** A weighted choice. */
export function weighted<T>(random: Random, list: readonly (readonly [number, T])[]): T {
  let left = random(list.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, one] of list) {
    if (left < weight) return one;
    left -= weight;
  }
  throw new Error('nothing to choose from');
}

/** A seed of its own, where none was given. */
export function freshSeed(): number {
  return randomBytes(4).readUInt32BE();
}

/** The seed of one of many sequences, so that each can be drawn without those before it. */
export function seedOf(seed: number, index: number): number {
  let mixed = Math.imul(seed ^ 0x9e_37_79_b9, 0x85_eb_ca_6b) ^ Math.imul(index + 1, 0xc2_b2_ae_35);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c_1b_3c_6d);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}
