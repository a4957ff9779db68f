/**
 * The benchmarks: every measure of DESIGN §9 beside its reference in the same run.
 *
 * @module
 */
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Scale } from './measure.js';
import { MEASURES } from './measures/index.js';
import { writeDocument } from './report/document.js';
import { comparisonText, machineText, skippedText } from './report/text.js';
import { runMeasures } from './run.js';
import { killAll } from './support/processes.js';

const FULL: Scale = {
  name: 'full',
  repetitions: 5,
  longRepetitions: 3,
  sliceSeconds: 2,
  warmUpSeconds: 3,
  largeThreadEvents: 1_000_000,
  bootSessions: [10, 10_000, 100_000],
  sessions: 10_000,
};
const QUICK: Scale = {
  name: 'quick',
  repetitions: 3,
  longRepetitions: 2,
  sliceSeconds: 0.4,
  // Cold code takes several times as long: a short warm-up would be what is measured.
  warmUpSeconds: 3,
  largeThreadEvents: 50_000,
  bootSessions: [10, 2_000],
  sessions: 2_000,
};

interface Options {
  readonly quick: boolean;
  readonly json: boolean;
  readonly only: readonly string[];
  readonly write?: string;
  readonly dir: string;
  readonly repetitions?: number;
  readonly seconds?: number;
}

await program().parseAsync();

function program(): Command {
  const names = MEASURES.map(({ name, description }) => `  ${name.padEnd(20)} ${description}`);
  return new Command('npm run bench --')
    .description('Measures eventlogd beside its references, by turns, and prints ratios first.')
    .option('--quick', 'shorter turns, fewer of them, less data: four minutes, and rougher', false)
    .option('--json', 'print the whole report as JSON', false)
    .addOption(
      new Option('--only <name...>', 'these measures')
        .choices(MEASURES.map(({ name }) => name))
        .default([], 'all'),
    )
    .option('--write <folder>', "write tables and plots into this folder's benchmarks.md")
    .option('--dir <folder>', 'where the data go: it decides which disk is measured', tmpdir())
    .option('--repetitions <count>', 'turns of each contestant', positive)
    .option('--seconds <seconds>', 'length of a turn', positive)
    .addHelpText('after', `\nMeasures:\n${names.join('\n')}`)
    .action(main);
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('It must be a number above 0.');
  return value;
}

async function main(options: Options): Promise<void> {
  const print = options.json ? console.error : console.log;
  const { only } = options;
  const measures = MEASURES.filter(({ name }) => only.length === 0 || only.includes(name));
  const folder = await mkdtemp(join(resolve(options.dir), 'elb-'));
  process.once('SIGINT', () => process.exit(130));
  process.once('SIGTERM', () => process.exit(143));
  process.once('exit', () => {
    killAll();
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  });
  const report = await runMeasures(measures, scaleOf(options), folder, {
    onProgress: (text) => console.error(`  ${text}`),
    onMachine: (machine) => print(machineText(machine)),
    onSkipped: (skipped) => print(skippedText(skipped)),
    onComparison: (comparison) => print(`\n${comparisonText(comparison)}`),
  });
  print(`\n${report.seconds} seconds in all`);
  if (options.write !== undefined) writeDocument(resolve(options.write), report);
  if (options.json) console.log(JSON.stringify(report));
}

function scaleOf({ quick, repetitions, seconds }: Options): Scale {
  const scale = quick ? QUICK : FULL;
  return {
    ...scale,
    repetitions: repetitions ?? scale.repetitions,
    longRepetitions: repetitions ?? scale.longRepetitions,
    sliceSeconds: seconds ?? scale.sliceSeconds,
    warmUpSeconds: Math.min(scale.warmUpSeconds, seconds ?? Number.POSITIVE_INFINITY),
  };
}
