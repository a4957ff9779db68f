/**
 * The benchmarks: every measure of DESIGN §9 beside its reference in the same run.
 *
 * @module
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { lookAtMachine } from './machine.js';
import type { Bench, Scale } from './measure.js';
import { MEASURES } from './measures/index.js';
import { eventlogd } from './peers/eventlogd.js';
import { type Report, reported, type Skipped } from './report/report.js';
import { comparisonText } from './report/text.js';
import { DISK_AS_IT_IS } from './support/disk.js';

const FULL: Scale = { name: 'full', repetitions: 5, sliceSeconds: 3, warmUpSeconds: 2 };
const QUICK: Scale = { name: 'quick', repetitions: 3, sliceSeconds: 0.5, warmUpSeconds: 0.5 };

interface Options {
  readonly quick: boolean;
  readonly json: boolean;
  readonly only: readonly string[];
  readonly dir: string;
  readonly repetitions?: number;
  readonly seconds?: number;
}

await program().parseAsync();

function program(): Command {
  const names = MEASURES.map(({ name, description }) => `  ${name.padEnd(20)} ${description}`);
  return new Command('npm run bench --')
    .description('Measures eventlogd beside its references, by turns, and prints ratios first.')
    .option('--quick', 'shorter turns and fewer of them: two minutes', false)
    .option('--json', 'print the whole report as JSON', false)
    .addOption(
      new Option('--only <name...>', 'these measures')
        .choices(MEASURES.map(({ name }) => name))
        .default([], 'all'),
    )
    .option('--dir <folder>', 'where to put the data: decides which disk is measured', tmpdir())
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
  const say = (text: string): void => console.error(text);
  const folder = await mkdtemp(join(options.dir, 'elb-'));
  try {
    const report = await measureAll(options, folder, say);
    if (options.json) console.log(JSON.stringify(report));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureAll(
  options: Options,
  folder: string,
  say: (text: string) => void,
): Promise<Report> {
  const scale = scaleOf(options);
  const machine = await lookAtMachine(folder);
  const print = options.json ? say : console.log;
  print(JSON.stringify(machine, null, 2));
  const comparisons: Report['comparisons'][number][] = [];
  const skipped: Skipped[] = [];
  for (const measure of MEASURES) {
    if (options.only.length > 0 && !options.only.includes(measure.name)) continue;
    const own = await mkdtemp(join(folder, 'm'));
    const bench: Bench = {
      scale,
      newFolder: () => mkdtemp(join(own, 'f')),
      say: (text) => say(`  ${measure.name}: ${text}`),
      skip: (what, why) => {
        skipped.push({ measure: measure.name, what, why });
        print(`NOT MEASURED: ${measure.name}, ${what}: ${why}`);
      },
      disks: [DISK_AS_IT_IS],
    };
    for (const comparison of await measure.run(bench)) {
      const one = reported(comparison);
      comparisons.push(one);
      print(`\n${comparisonText(one)}`);
    }
    await rm(own, { recursive: true });
  }
  machine.load.after = loadavg()[0] ?? Number.NaN;
  const presence = await eventlogd.presence();
  const version = 'version' in presence ? presence.version : '';
  return { version, scale, machine, comparisons, skipped };
}

function scaleOf({ quick, repetitions, seconds }: Options): Scale {
  const scale = quick ? QUICK : FULL;
  return {
    ...scale,
    repetitions: repetitions ?? scale.repetitions,
    sliceSeconds: seconds ?? scale.sliceSeconds,
  };
}
