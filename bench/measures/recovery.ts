/** From the start of the process until it listens, after a kill with much log to replay. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type EventLog } from '../../client/index.js';
import type { Comparison, Entry } from '../comparison.js';
import { interleave } from '../harness.js';
import type { Bench, Measure } from '../measure.js';
import { startDaemon } from '../peers/eventlogd.js';
import { bootMs } from './boot.js';

const MIB = 2 ** 20;
const PER_BYTES = 64 * MIB;
/** Less than the 64 MiB after which a checkpoint would shorten the log. */
const LOG_BYTES = 48 * MIB;
const BATCH_EVENTS = 1_000;
const CONTENT = 'x'.repeat(1_000);
const THREADS = [64, 1_000];

export const recovery: Measure = {
  name: 'recovery',
  description: 'start after kill -9 with log to replay',
  run: async (bench) => {
    const turns = THREADS.map((threads) => ({
      title: `log of ${threads.toLocaleString('en-US')} threads`,
      take: () => recoveryMs(bench, threads),
    }));
    const entries: Entry[] = [];
    for (const [of, costs] of await interleave(bench, turns, bench.scale.longRepetitions)) {
      const values = costs.filter((cost) => cost !== null);
      if (values.length === costs.length) entries.push({ of, values });
      else bench.skip(of, 'the log could not be filled before a checkpoint came by');
    }
    return entries.length === 0 ? [] : [comparisonOf(entries)];
  },
};

/** What a start takes beyond a clean one, for 64 MiB of log; null where it took too long to fill. */
async function recoveryMs(bench: Bench, threads: number): Promise<number | null> {
  const dir = await bench.newFolder();
  const daemon = await startDaemon(dir);
  const log = await connect({ dir });
  await fill(log, threads);
  const { lastCheckpoint } = await log.stats();
  await daemon.end('SIGKILL');
  await log.close();
  // It would have shortened the log, as it does 30 s after the first write.
  if (lastCheckpoint !== null) return null;
  const bytes = journalBytes(dir);
  const killed = await bootMs(dir);
  const clean = await bootMs(dir);
  return ((killed - clean) * PER_BYTES) / bytes;
}

async function fill(log: EventLog, threads: number): Promise<void> {
  let next = 0;
  for (let bytes = 0; bytes < LOG_BYTES; ) {
    const events = Array.from({ length: BATCH_EVENTS }, () => {
      const thread_id = `t${next++ % threads}`;
      return { thread_id, run_id: 'r1', event_type: 'token', category: 'trace', content: CONTENT };
    });
    await log.runs.putBatch(events);
    bytes += BATCH_EVENTS * CONTENT.length;
  }
}

/** The lines that the log holds, without its own overhead: what is replayed is a little more. */
function journalBytes(dir: string): number {
  const entries = readdirSync(join(dir, 'threads'), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0);
}

function comparisonOf(entries: readonly Entry[]): Comparison {
  return {
    name: 'recovery',
    title: 'Start after kill -9, beyond a clean start, for 64 MiB of log to replay',
    unit: 'ms',
    entries,
    targets: entries.map(({ of }) => ({
      of,
      against: '',
      by: 'value',
      bound: 'at most',
      limit: 3_000,
    })),
  };
}
