/**
 * `eventlog status`, once or again and again.
 *
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import type { DaemonStats } from '../types.js';
import { addExamples, parseLimit } from './options.js';
import { showValue } from './output.js';
import { exitOnSignal, runCommand, type Session, tellOfConnection } from './session.js';

const INTERVAL_MS_DEFAULT = 2_000;

/** What only grows while a daemon lives, so that its growth is a rate. */
const COUNTERS: ReadonlySet<string> = new Set([
  'appends',
  'events',
  'adopted',
  'commits',
  'checkpoints',
  'fsyncs.log',
  'fsyncs.files',
  'fsyncs.directories',
  'pushed.encoded',
  'pushed.sent',
]);

interface StatusFlags {
  readonly watch?: true;
  readonly interval: number;
}

/** What was answered, and when. */
interface Look {
  readonly stats: DaemonStats;
  readonly atMs: number;
}

/** Adds the command to the program. */
export function addStatusCommand(program: Command): void {
  const status = program
    .command('status')
    .description("show the daemon's counters and state")
    .option('--watch', 'again and again, with rates; a line each time into a pipe')
    .option('--interval <ms>', 'how often with --watch', parseLimit, INTERVAL_MS_DEFAULT);
  addExamples(status, [
    'eventlog status',
    'eventlog status --watch',
    'eventlog status --watch --interval 1000 --json | jq .appends',
  ]);
  status.action(async ({ watch, interval }: StatusFlags) => {
    await runCommand(status, (session) =>
      watch === true ? watchStatus(session, interval) : showOnce(session),
    );
  });
}

async function showOnce({ log, output }: Session): Promise<void> {
  const stats = await log.stats();
  if (output.format === 'ndjson') return await output.line(JSON.stringify(stats));
  const rows = flattened(stats).map(([name, value]) => [name, showValue(value)]);
  await output.table(['what', 'value'], rows);
}

async function watchStatus({ log, output }: Session, intervalMs: number): Promise<void> {
  exitOnSignal();
  if (process.stderr.isTTY) tellOfConnection(log);
  for (let before: Look | null = null; ; await sleep(intervalMs)) {
    const look: Look = { stats: await log.stats(), atMs: Date.now() };
    if (output.format === 'ndjson') {
      const time = new Date(look.atMs).toISOString();
      await output.line(JSON.stringify({ time, ...look.stats }));
    } else {
      await output.screen(['what', 'value', 'a second'], rowsOf(look, before));
    }
    before = look;
  }
}

function rowsOf({ stats, atMs }: Look, before: Look | null): string[][] {
  // Another epoch is another daemon, which counts from 0.
  const isSame = before !== null && before.stats['epoch'] === stats['epoch'];
  const earlier = new Map(isSame ? flattened(before.stats) : []);
  return flattened(stats).map(([name, value]) => {
    const was = earlier.get(name);
    if (!COUNTERS.has(name) || typeof value !== 'number' || typeof was !== 'number')
      return [name, showValue(value), ''];
    const rate = ((value - was) * 1000) / Math.max(1, atMs - (before as Look).atMs);
    return [name, showValue(value), rate < 10 ? rate.toFixed(1) : rate.toFixed(0)];
  });
}

/** The entries of the stats, those of their groups with both names. */
function flattened(stats: DaemonStats): [string, unknown][] {
  return Object.entries(stats).flatMap(([name, value]): [string, unknown][] =>
    typeof value === 'object' && value !== null
      ? Object.entries(value).map(([part, one]) => [`${name}.${part}`, one])
      : [[name, value]],
  );
}
