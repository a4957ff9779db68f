/** From the start of the process until it listens, after a clean stop, by streams on disk. */
import type { Comparison } from '../comparison.js';
import { interleave } from '../harness.js';
import type { Bench, Measure } from '../measure.js';
import { startDaemon } from '../peers/eventlogd.js';
import { makeKnown, writeSessions } from '../support/data-sets.js';

export const boot: Measure = {
  name: 'boot',
  description: 'start after a clean stop, with few and with many streams on disk',
  run: async (bench) => {
    const turns = [];
    for (const count of bench.scale.bootSessions) {
      const dir = await knownSessions(bench, count);
      turns.push({ title: sessionsTitle(count), take: () => bootMs(dir) });
    }
    const costs = await interleave(bench, turns);
    return [comparisonOf(costs)];
  },
};

/** A directory with so many sessions, all of them in the catalog. */
export async function knownSessions(bench: Bench, count: number): Promise<string> {
  return await bench.dataSet(`sessions-${count}`, async (folder) => {
    bench.say(`writing ${count} sessions`);
    writeSessions(folder, count);
    await makeKnown(folder, (log) => log.turns.pending());
  });
}

function sessionsTitle(count: number): string {
  return `${count.toLocaleString('en-US')} sessions`;
}

/** Starts a daemon and stops it again. */
export async function bootMs(dir: string): Promise<number> {
  const began = performance.now();
  await using _daemon = await startDaemon(dir);
  return performance.now() - began;
}

function comparisonOf(costs: ReadonlyMap<string, readonly number[]>): Comparison {
  const titles = [...costs.keys()];
  const [few = '', many = ''] = [titles[0], titles.at(-1)];
  return {
    name: 'boot',
    title: 'Start after a clean stop, until it listens',
    unit: 'ms',
    entries: [...costs].map(([of, values]) => ({ of, values })),
    targets: [{ of: many, against: few, by: 'difference', bound: 'at most', limit: 1_000 }],
  };
}
