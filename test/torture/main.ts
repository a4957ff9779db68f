/**
 * `npm run torture`: clients and faults over real daemon processes, and an oracle that knows every
 * request and every answer. The last line says what was done and found.
 */
import { resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { actOf } from './plan.js';
import { lineOf, type RunReport, sumOf } from './report.js';

/** No act takes less, if time does not end it: so many are printed. */
const ACT_S_MIN = 15;

const EXAMPLES = `
Examples:
  npm run torture -- --seed 7 --minutes 2          # one seed
  npm run torture -- --seeds 1..20 --minutes 30    # 20 seeds, 30 minutes in all
  npm run torture -- --seed 7 --minutes 2 --plan   # what it would do, and when
  npm run torture -- --seed 7 --minutes 2 --keep   # keeps directory and journals
  npm run torture -- --seed 7 --minutes 2 --daemon dist/daemon/main.js

Exit codes: 0 no finding; 1 findings, and the directory is kept; 2 usage.`;

interface Options {
  readonly seed?: number;
  readonly seeds?: readonly number[];
  readonly minutes: number;
  readonly keep?: boolean;
  readonly json?: boolean;
  readonly plan?: boolean;
  readonly daemon?: string;
}

const program = new Command('torture')
  .description('tortures eventlogd and checks that it keeps its promises')
  .addOption(new Option('--seed <n>', 'the plan of faults (default: the time)').argParser(whole))
  .addOption(
    new Option('--seeds <n..m>', 'several seeds, one after the other, in that time')
      .argParser(range)
      .conflicts('seed'),
  )
  .addOption(
    new Option('--minutes <m>', 'how long, in all; may be a fraction')
      .argParser(positive)
      .default(1),
  )
  .option('--keep', 'keep the directories of runs without findings too')
  .option('--daemon <main.js>', 'the daemon program of another build')
  .option('--plan', 'print the plan and do nothing')
  .option('--json', 'print JSON, one object a run')
  .addHelpText('after', EXAMPLES)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse();

await main(program.opts<Options>());

async function main(options: Options): Promise<void> {
  const seeds = options.seeds ?? [options.seed ?? Math.floor(Date.now() / 1000)];
  const minutes = options.minutes / seeds.length;
  if (options.plan === true) {
    const acts = Math.ceil((minutes * 60) / ACT_S_MIN);
    for (const seed of seeds)
      for (let number = 1; number <= acts; number += 1) print(JSON.stringify(actOf(seed, number)));
    return;
  }
  // Read by what starts daemons, when it is loaded.
  if (options.daemon !== undefined) process.env['EVENTLOGD_TEST_DAEMON'] = resolve(options.daemon);
  const { Run } = await import('./run.js');
  const end = performance.now() + options.minutes * 60_000;
  const reports: RunReport[] = [];
  for (const [at, seed] of seeds.entries()) {
    // What one seed did not use is the next ones'.
    const left = (end - performance.now()) / 60_000 / (seeds.length - at);
    const run = new Run({ seed, minutes: Math.max(left, 0), keep: options.keep === true });
    const abort = (): void => void run.abort().finally(() => process.exit(1));
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, abort);
    const report = await run.run();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, abort);
    reports.push(report);
    if (options.json === true) print(JSON.stringify(report));
    else {
      for (const { rule, detail } of report.findings) print(`FINDING ${rule}: ${detail}`);
      print(lineOf(report));
    }
  }
  if (reports.length > 1 && options.json !== true) print(lineOf(sumOf(reports)));
  process.exitCode = reports.some(({ findings }) => findings.length > 0) ? 1 : 0;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function whole(text: string): number {
  if (!/^[0-9]{1,15}$/.test(text)) throw new InvalidArgumentError('give a whole number');
  return Number(text);
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('give a number above 0');
  return value;
}

function range(text: string): number[] {
  const [, from, to] = /^([0-9]{1,9})\.\.([0-9]{1,9})$/.exec(text) ?? [];
  const count = Number(to) - Number(from) + 1;
  if (!(count > 0)) throw new InvalidArgumentError('give two whole numbers, such as 1..20');
  return Array.from({ length: count }, (_, at) => Number(from) + at);
}
