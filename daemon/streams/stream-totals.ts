/**
 * What streams take and hold together.
 *
 * @module
 */
import type { Stream } from './stream.js';

/** Sums over streams. */
export interface StreamTotals {
  readonly count: number;
  /** Memory of indexes and turn states, roughly. */
  readonly bytes: number;
  readonly fenced: number;
  readonly malformedLines: number;
}

/** Sums up streams. */
export function totalsOf(streams: Iterable<Stream>): StreamTotals {
  const totals = { count: 0, bytes: 0, fenced: 0, malformedLines: 0 };
  for (const { bytes, fence, damage } of streams) {
    totals.count += 1;
    totals.bytes += bytes;
    totals.malformedLines += damage.length;
    if (fence !== null) totals.fenced += 1;
  }
  return totals;
}
