/** `docs/benchmarks.md`: what a run found, between two marks, and the plots beside it. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { plotOf } from './plot.js';
import type { Report, ReportedComparison } from './report.js';
import {
  figureText,
  machineFacts,
  ratioText,
  skippedText,
  targetText,
  verdictText,
} from './text.js';

const BEGIN = '<!-- written by `npm run bench -- --write docs` from here … -->';
const END = '<!-- … to here -->';
const PLOTS = 'benchmarks';

/** Writes the tables into the document, whose other text stays, and the plots. */
export function writeDocument(folder: string, report: Report): void {
  const path = join(folder, 'benchmarks.md');
  const text = readFileSync(path, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin === -1 || end < begin) throw new Error(`${path} lacks its marks`);
  const head = text.slice(0, begin + BEGIN.length);
  writeFileSync(path, `${head}\n\n${markdownOf(report)}\n\n${text.slice(end)}`);
  const plots = join(folder, PLOTS);
  mkdirSync(plots, { recursive: true });
  for (const name of readdirSync(plots)) rmSync(join(plots, name));
  for (const one of report.comparisons) writeFileSync(join(plots, plotName(one)), plotOf(one));
}

function plotName({ name }: ReportedComparison): string {
  return `${name}.svg`;
}

function markdownOf({ scale, machine, seconds, comparisons, skipped }: Report): string {
  const turns = `${scale.repetitions} repetitions of ${scale.sliceSeconds} s a turn`;
  const facts = [...machineFacts(machine), ['Run', `${scale.name}: ${turns}, ${seconds} s in all`]];
  return [
    '## Machine',
    table(['', ''], facts),
    '## Targets',
    table(
      ['what', 'of', 'target', 'measured (lowest–highest)'],
      comparisons.flatMap(({ title, unit, verdicts }) =>
        verdicts.map((verdict) => [
          title,
          verdict.target.of,
          targetText(verdict.target, unit),
          verdictText(verdict, unit),
        ]),
      ),
    ),
    '## Figures',
    ...comparisons.map(section),
    ...(skipped.length === 0 ? [] : ['## Not measured', skipped.map(skippedText).join('\n\n')]),
  ].join('\n\n');
}

function section(comparison: ReportedComparison): string {
  const { title, unit, figures } = comparison;
  const rows = figures.map((figure) => [
    figure.of,
    ratioText(figure.ratio),
    figureText(figure, unit),
  ]);
  const plot = `![${title}](${PLOTS}/${plotName(comparison)})`;
  return [
    `### ${title}`,
    plot,
    table(['', `to ${figures[0]?.of ?? ''}`, 'median (lowest–highest)'], rows),
  ].join('\n\n');
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}
