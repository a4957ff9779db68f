/** From the start of the process until it listens, after a kill with much log to replay. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type EventLog } from '../../client/index.js';
import type { Comparison } from '../comparison.js';
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
const STREAMS = [64, 1_000];

export const recovery: Measure = {
  name: 'recovery',
  description: 'start after kill -9 with log to replay',
  run: async (bench) => {
    const turns = STREAMS.map((streams) => ({
      title: `log of ${streams.toLocaleString('en-US')} sessions`,
      take: () => recoveryMs(bench, streams),
    }));
    const costs = await interleave(bench, turns);
    return [comparisonOf(costs)];
  },
};

/** What a start takes beyond a clean one, for 64 MiB of log. */
async function recoveryMs(bench: Bench, streams: number): Promise<number> {
  const dir = await bench.newFolder();
  const daemon = await startDaemon(dir);
  const log = await connect({ dir });
  await fill(log, streams);
  const { lastCheckpoint } = await log.stats();
  if (lastCheckpoint !== null) throw new Error('a checkpoint has shortened the log');
  await daemon.end('SIGKILL');
  await log.close();
  const bytes = journalBytes(dir);
  const killed = await bootMs(dir);
  const clean = await bootMs(dir);
  return ((killed - clean) * PER_BYTES) / bytes;
}

async function fill(log: EventLog, streams: number): Promise<void> {
  for (let written = 0; written < LOG_BYTES; written += BATCH_EVENTS * CONTENT.length) {
    await Promise.all(
      Array.from({ length: BATCH_EVENTS }, (_, at) =>
        log.turns.append(`s${at % streams}`, { event: 'token', turn_id: 't', content: CONTENT }),
      ),
    );
  }
}

/** The lines that the log holds, without its own overhead: what is replayed is a little more. */
function journalBytes(dir: string): number {
  const folder = join(dir, '_turn_journal');
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

function comparisonOf(costs: ReadonlyMap<string, readonly number[]>): Comparison {
  return {
    name: 'recovery',
    title: 'Start after kill -9, beyond a clean start, for 64 MiB of log to replay',
    unit: 'ms',
    entries: [...costs].map(([of, values]) => ({ of, values })),
    targets: [...costs.keys()].map((of) => ({
      of,
      against: '',
      by: 'value',
      bound: 'at most',
      limit: 3_000,
    })),
  };
}
