/**
 * What a measure hands over: figures of contestants that ran side by side, one value for each
 * repetition, and what is to hold between two of them.
 */
import { type Spread, spreadOf } from './statistics.js';

/** One contestant's figure; its nth value comes from the nth repetition. */
export interface Entry {
  readonly of: string;
  readonly values: readonly number[];
}

/** What DESIGN asks of a figure: of the ratio or difference to another, or of itself. */
export interface Target {
  readonly of: string;
  readonly against: string;
  readonly by: 'ratio' | 'difference' | 'value';
  readonly bound: 'at most' | 'at least';
  readonly limit: number;
}

/** Figures of one kind beside each other. */
export interface Comparison {
  /** Names it in the table, in `--json` and as the name of its plot. */
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly entries: readonly Entry[];
  readonly targets: readonly Target[];
}

/** A target beside what was measured: null where one side did not run, or had nothing to count. */
export interface Verdict {
  readonly target: Target;
  readonly measured: Spread | null;
  readonly isMet: boolean | null;
}

/**
 * Judges a target by its median over the repetitions. Ratios are taken within each repetition,
 * so that what disturbs the machine disturbs both sides of one.
 */
export function judge({ entries }: Comparison, target: Target): Verdict {
  const measured = valuesFor(target, entries);
  if (measured === null || !measured.every(Number.isFinite)) {
    return { target, measured: null, isMet: null };
  }
  const spread = spreadOf(measured);
  const isMet =
    target.bound === 'at most' ? spread.median <= target.limit : spread.median >= target.limit;
  return { target, measured: spread, isMet };
}

/** Each entry's ratio to the first one, by repetition; nothing where both do not have as many. */
export function ratioToFirst({ entries: [first] }: Comparison, { values }: Entry): Spread | null {
  if (first === undefined || first.values.length !== values.length) return null;
  return spreadOf(values.map((value, at) => value / (first.values[at] ?? Number.NaN)));
}

function valuesFor(target: Target, entries: readonly Entry[]): number[] | null {
  const valuesOf = (name: string): readonly number[] | undefined =>
    entries.find((entry) => entry.of === name)?.values;
  const subject = valuesOf(target.of);
  if (subject === undefined) return null;
  if (target.by === 'value') return [...subject];
  const reference = valuesOf(target.against);
  if (reference === undefined) return null;
  return subject.map((value, at) => {
    const beside = reference[at] ?? Number.NaN;
    return target.by === 'ratio' ? value / beside : value - beside;
  });
}
