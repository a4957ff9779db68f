/** The results of a run: what `--json` prints, and what tables and plots are made of. */
import type { Comparison, Verdict } from '../comparison.js';
import { judge } from '../comparison.js';
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
    figures: entries.map(({ of, values }) => ({ of, ...spreadOf(values), values })),
    verdicts: targets.map((target) => judge(comparison, target)),
  };
}
