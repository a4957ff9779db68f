/**
 * How values are spread, in buckets that are counted plainly: recording costs a few nanoseconds,
 * so the append path can afford it.
 *
 * @module
 */

/** Counted values, as others read them. */
export interface Spread {
  /** The upper bounds of the buckets, ascending; one more bucket holds what is above the last. */
  readonly bounds: readonly number[];
  /** Values in each bucket, not cumulative. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** From 100 µs to 10 s: memory answers in the first of them, and a disk that hangs is in the last. */
export const SECONDS: readonly number[] = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** From one event to what a commit can hold. */
export const EVENTS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384];

/** From a short line to the largest commit, in bytes. */
export const BYTES: readonly number[] = [
  256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864,
];

/** Counts values by bucket. */
export class Distribution implements Spread {
  readonly bounds: readonly number[];
  readonly counts: number[];
  sum = 0;

  /** @param bounds the upper bounds of the buckets, ascending */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  record(value: number): void {
    const { bounds, counts } = this;
    let at = 0;
    while (at < bounds.length && value > (bounds[at] as number)) at += 1;
    counts[at] = (counts[at] as number) + 1;
    this.sum += value;
  }
}
