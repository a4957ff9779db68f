/**
 * `npm run fuzz`: hostile clients against a real daemon. The same seed sends the same frames; what
 * comes of them depends on how the conversations meet.
 */
import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import type { Conversation } from './conversations.js';
import { freshSeed } from './draw.js';
import { Finding } from './finding.js';
import { type FuzzOptions, type FuzzReport, fuzz } from './fuzz.js';
import { replay } from './replay.js';

const MIB = 2 ** 20;

const EXAMPLES = `
Examples:
  npm run fuzz                                    # 50,000 frames of a new seed
  npm run fuzz -- --seed 7 --frames 1000000
  npm run fuzz -- --seed 7 --conversation 4711    # that one alone, message by message

Exit codes: 0 no finding; 1 a finding; 2 usage. A finding says seed and conversation, and writes
the conversation, or those that were under way, to fuzz-SEED-INDEX.json.`;

interface Options extends Omit<FuzzOptions, 'seed' | 'onProgress' | 'program'> {
  readonly seed?: number;
  readonly daemon?: string;
  readonly conversation?: number;
  readonly json?: true;
}

function count(text: string): number {
  if (!/^[0-9]{1,12}$/.test(text)) throw new InvalidArgumentError('give a whole number');
  return Number(text);
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(given: Options): Promise<void> {
  const program = given.daemon === undefined ? {} : { program: resolve(given.daemon) };
  const options = { ...given, ...program, seed: given.seed ?? freshSeed(), onProgress: say };
  const isJson = given.json === true;
  try {
    if (given.conversation !== undefined) return await replay(options, given.conversation, say);
    say(`seed ${options.seed}`);
    const report = await fuzz(options);
    print(isJson ? JSON.stringify(report) : inWords(report));
  } catch (error) {
    if (!(error instanceof Finding)) throw error;
    process.exitCode = 1;
    const files = error.conversations.map((one) => keep(options.seed, one));
    const { seed } = options;
    print(
      isJson
        ? JSON.stringify({ seed, finding: error.message, files })
        : `${files.join('\n')}\nseed ${seed}: FINDING ${error.message}`,
    );
  }
}

/** Writes a conversation to a file: what was sent, frame by frame, and what was due. */
function keep(seed: number, conversation: Conversation): string {
  const path = `fuzz-${seed}-${conversation.index}.json`;
  const steps = conversation.steps.map((step) => {
    if (step.kind !== 'send') return step;
    const frames = step.frames.map(({ bytes, due }) => ({
      due,
      hex: Buffer.from(bytes).toString('hex'),
    }));
    return { ...step, frames };
  });
  writeFileSync(path, JSON.stringify({ seed, ...conversation, steps }, null, 1));
  return path;
}

function inWords(report: FuzzReport): string {
  const { seed, frames, conversations, seconds, peakBytes, boundBytes, good } = report;
  const mib = (bytes: number): number => Math.round(bytes / MIB);
  const memory =
    peakBytes === null ? 'memory unknown here' : `peak ${mib(peakBytes)} of ${mib(boundBytes)} MiB`;
  const kinds = Object.entries(report.kinds).map(([kind, times]) => `  ${times} × ${kind}`);
  return [
    ...kinds,
    `good clients: ${good.appended} appends, ${good.reads} reads, ${good.followed} events followed, slowest call ${good.slowestMs} ms`,
    `seed ${seed}: ${frames} frames in ${conversations} conversations, ${seconds} s, ${memory}: no finding`,
  ].join('\n');
}

const program = new Command('fuzz')
  .description('sends hostile frames to a real daemon while good clients work')
  .option('--seed <n>', 'what decides all frames (default: another one each time)', count)
  .option('--frames <n>', 'how many frames are sent, at least', count, 50_000)
  .option('--connections <n>', 'conversations at the same time', count, 16)
  .option('--segment-bytes <n>', 'segments of the daemon; its other sizes follow', count, 4 * MIB)
  .option('--conversation <n>', 'play only this one, and show what the daemon says', count)
  .option('--daemon <main.js>', 'the daemon program of another build')
  .option('--json', 'print the report as JSON')
  .addHelpText('after', EXAMPLES)
  .exitOverride((error) => process.exit(error.exitCode === 0 ? 0 : 2))
  .parse();
await main(program.opts<Options>());
