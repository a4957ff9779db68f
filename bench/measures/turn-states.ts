/** States and open turns of many sessions, beside a bare loop over the files. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../../client/index.js';
import type { Comparison } from '../comparison.js';
import { interleave } from '../harness.js';
import type { Measure } from '../measure.js';
import { startDaemon } from '../peers/eventlogd.js';
import { percentile } from '../statistics.js';
import { millisecondsOf } from '../support/time.js';
import { knownSessions } from './boot.js';

const CALLS = 20;
const STATES_CALLS = 500;
const CALL = 'eventlogd';
const FILES = 'reading the files';

interface Line {
  readonly event: string;
  readonly turn_id: string;
}

export const turnStates: Measure = {
  name: 'turn-states',
  description: 'pending and states, with many sessions',
  run: async (bench) => {
    const { sessions } = bench.scale;
    const dir = await knownSessions(bench, sessions);
    const journal = join(dir, '_turn_journal');
    await using _daemon = await startDaemon(dir);
    const log = await connect({ dir });
    const pending = await interleave(bench, [
      { title: CALL, take: () => p50(CALLS, () => log.turns.pending()) },
      { title: FILES, take: () => p50(1, async () => openTurnsIn(journal)) },
    ]);
    const statesOf = (at: number): string => `s${at % sessions}`;
    const states = await interleave(bench, [
      { title: CALL, take: () => p50(STATES_CALLS, (at) => log.turns.states(statesOf(at))) },
      {
        title: FILES,
        take: () =>
          p50(STATES_CALLS, async (at) => latestOf(join(journal, `${statesOf(at)}.jsonl`))),
      },
    ]);
    await log.close();
    const count = sessions.toLocaleString('en-US');
    return [
      comparisonOf('pending', `pending() over ${count} sessions`, pending),
      comparisonOf('states', `states() of one of ${count} sessions, p50`, states),
    ];
  },
};

async function p50(calls: number, call: (at: number) => Promise<unknown>): Promise<number> {
  const costs = new Float64Array(calls);
  for (let at = 0; at < calls; at += 1) costs[at] = await millisecondsOf(() => call(at));
  return percentile(costs.sort(), 0.5);
}

function openTurnsIn(journal: string): string[] {
  const open: string[] = [];
  for (const name of readdirSync(journal)) {
    for (const [turnId, { event }] of latestOf(join(journal, name))) {
      if (event !== 'completed' && event !== 'interrupted') open.push(`${name} ${turnId}`);
    }
  }
  return open;
}

function latestOf(path: string): Map<string, Line> {
  const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
  const events = lines.map((line) => JSON.parse(line) as Line);
  return new Map(events.map((event) => [event.turn_id, event]));
}

function comparisonOf(
  name: string,
  title: string,
  costs: ReadonlyMap<string, readonly number[]>,
): Comparison {
  const entries = [...costs].map(([of, values]) => ({ of, values }));
  return { name, title, unit: 'ms', entries, targets: [] };
}
