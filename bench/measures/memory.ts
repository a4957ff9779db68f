/** What an indexed event and an open stream take of the daemon's heap. */
import { fileURLToPath } from 'node:url';
import type { Comparison, Target } from '../comparison.js';
import { interleave } from '../harness.js';
import { ask, startClient } from '../load/children.js';
import type { HeapGrowth, MemoryPlan } from '../load/memory.process.js';
import type { Measure } from '../measure.js';
import { knownSessions } from './boot.js';
import { LARGE, largeThread, SMALL } from './large-thread.js';

const PROGRAM = fileURLToPath(new URL('../load/memory.process.js', import.meta.url));
const EVENT_BYTES_TARGET = 48;

export const memory: Measure = {
  name: 'memory',
  description: 'memory of an indexed event and of an open stream',
  run: async (bench) => {
    const { largeThreadEvents, sessions } = bench.scale;
    const thread = {
      dir: await largeThread(bench),
      before: { threads: [SMALL] },
      measured: { threads: [LARGE] },
    };
    const [first = '', ...others] = Array.from({ length: sessions }, (_, at) => `s${at}`);
    const streams = {
      dir: await knownSessions(bench, sessions),
      before: { sessions: [first] },
      measured: { sessions: others },
    };
    const event = `an event of ${largeThreadEvents.toLocaleString('en-US')}`;
    const stream = `a session of ${sessions.toLocaleString('en-US')}`;
    const turns = [
      { title: event, take: () => bytesFor(thread, largeThreadEvents) },
      { title: stream, take: () => bytesFor(streams, others.length) },
    ];
    const costs = await interleave(bench, turns, bench.scale.longRepetitions);
    const target: Target = {
      of: event,
      against: '',
      by: 'value',
      bound: 'at most',
      limit: EVENT_BYTES_TARGET,
    };
    return [
      comparisonOf('memory-event', [event, costs.get(event) ?? []], [target]),
      comparisonOf('memory-stream', [stream, costs.get(stream) ?? []], []),
    ];
  },
};

async function bytesFor(plan: MemoryPlan, count: number): Promise<number> {
  await using daemon = await startClient(PROGRAM, plan);
  const { bytes } = await ask<HeapGrowth>(daemon, 'measure');
  return bytes / count;
}

function comparisonOf(
  name: string,
  [of, values]: readonly [string, readonly number[]],
  targets: readonly Target[],
): Comparison {
  return { name, title: `Memory of ${of}`, unit: 'bytes', entries: [{ of, values }], targets };
}
