/** The results as text: figures with their spread, targets with what was measured. */
import type { Target, Verdict } from '../comparison.js';
import type { Machine } from '../machine.js';
import type { Spread } from '../statistics.js';
import type { ReportedComparison, Skipped } from './report.js';

const RATIO_WIDTH = 8;

/** A figure with its unit, and between which values the repetitions lay. */
export function figureText(figure: Spread, unit: string): string {
  return `${withUnit(figure.median, unit)} (${rangeText(figure)})`;
}

/** A ratio to the first figure. */
export function ratioText(ratio: Spread | null): string {
  return ratio === null ? '' : `${numberText(ratio.median)} ×`;
}

/** What was asked for, as in "≤ 1.5 × Redis Streams". */
export function targetText({ against, by, bound, limit }: Target, unit: string): string {
  const sign = bound === 'at most' ? '≤' : '≥';
  switch (by) {
    case 'ratio':
      return `${sign} ${limit} × ${against}`;
    case 'difference':
      return `${sign} ${against} + ${withUnit(limit, unit)}`;
    case 'value':
      return `${sign} ${withUnit(limit, unit)}`;
  }
}

/** What was measured beside a target, and whether that meets it. */
export function verdictText({ target, measured, isMet }: Verdict, unit: string): string {
  if (measured === null) return 'not measured';
  const { median } = measured;
  const sign = target.by === 'difference' && median >= 0 ? '+' : '';
  const value = `${sign}${target.by === 'ratio' ? `${numberText(median)} ×` : withUnit(median, unit)}`;
  return `${value} (${rangeText(measured)}), ${isMet === true ? 'met' : 'missed'}`;
}

/** A comparison for a terminal: the ratios first. */
export function comparisonText({ title, unit, figures, verdicts }: ReportedComparison): string {
  const lines = [title];
  for (const verdict of verdicts) {
    const target = `${verdict.target.of} ${targetText(verdict.target, unit)}`;
    lines.push(`  ${verdictText(verdict, unit)}: ${target}`);
  }
  const width = Math.max(...figures.map(({ of }) => of.length));
  for (const figure of figures) {
    const ratio = ratioText(figure.ratio).padStart(RATIO_WIDTH);
    lines.push(`    ${figure.of.padEnd(width)}  ${ratio}  ${figureText(figure, unit)}`);
  }
  return lines.join('\n');
}

/** The machine in a few lines. */
export function machineText(machine: Machine): string {
  return machineFacts(machine)
    .map(([what, value]) => `${what}: ${value}`)
    .join('\n');
}

/** What a reader has to know of the machine. */
export function machineFacts(machine: Machine): readonly (readonly [string, string])[] {
  const { fsyncMs, load } = machine;
  return [
    ['Machine', `${machine.cpus}, ${machine.memoryGiB} GiB, ${machine.system}`],
    [
      'Disk',
      `${machine.fileSystem}; write + fdatasync p50 ${numberText(fsyncMs.p50)} ms, p99 ${numberText(fsyncMs.p99)} ms`,
    ],
    ['Load', `${numberText(load.before)} processes before, ${numberText(load.after)} after`],
    ['Node', machine.node],
    ...Object.entries(machine.peers),
  ];
}

/** What was not measured, so that nobody takes it for good. */
export function skippedText({ measure, what, why }: Skipped): string {
  return `NOT MEASURED: ${measure}, ${what}: ${why}`;
}

function withUnit(value: number, unit: string): string {
  return unit.startsWith('/') ? `${numberText(value)}${unit}` : `${numberText(value)} ${unit}`;
}

function rangeText({ low, high }: Spread): string {
  return `${numberText(low)}–${numberText(high)}`;
}

/** Three digits, and no more zeros than they need. */
function numberText(value: number): string {
  if (!Number.isFinite(value)) return '–';
  return Math.abs(value) >= 100
    ? Math.round(value).toLocaleString('en-US')
    : String(Number(value.toPrecision(3)));
}
