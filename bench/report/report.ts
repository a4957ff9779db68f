/** The results of a run: what `--json` prints, and what tables and plots are made of. */
import type { Comparison, Verdict } from '../comparison.js';
import { judge, ratioToFirst } from '../comparison.js';
import type { Machine } from '../machine.js';
import type { Scale } from '../measure.js';
import { type Spread, spreadOf } from '../statistics.js';

export interface Skipped {
  readonly measure: string;
  readonly what: string;
  readonly why: string;
}

export interface ReportedComparison {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly figures: readonly (Spread & {
    readonly of: string;
    readonly values: readonly number[];
    /** To the first figure, repetition by repetition; null where they were not repeated alike. */
    readonly ratio: Spread | null;
  })[];
  readonly verdicts: readonly Verdict[];
}

export interface Report {
  readonly scale: Scale;
  readonly machine: Machine;
  /** How long it took in all. */
  readonly seconds: number;
  readonly comparisons: readonly ReportedComparison[];
  readonly skipped: readonly Skipped[];
}

export function reported(comparison: Comparison): ReportedComparison {
  const { name, title, unit, entries, targets } = comparison;
  return {
    name,
    title,
    unit,
    figures: entries.map((entry) => ({
      of: entry.of,
      ...spreadOf(entry.values),
      values: entry.values,
      ratio: ratioToFirst(comparison, entry),
    })),
    verdicts: targets.map((target) => judge(comparison, target)),
  };
}
