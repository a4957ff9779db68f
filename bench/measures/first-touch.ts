/**
 * The first touch of a large thread after a start, beside a bare loop that parses each of its
 * lines, and what other streams notice of it. The file is in the page cache for both.
 */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connect } from '../../client/index.js';
import type { Comparison } from '../comparison.js';
import { interleave } from '../harness.js';
import { ask, startClient } from '../load/children.js';
import type { LoadDone, LoadOrder } from '../load/load-messages.js';
import type { Bench, Measure } from '../measure.js';
import { startDaemon } from '../peers/eventlogd.js';
import { percentile } from '../statistics.js';
import { monotonicMs } from '../support/clock.js';
import { millisecondsOf } from '../support/time.js';
import { LARGE, largeThread, SMALL } from './large-thread.js';

const PARSE_LOOP = fileURLToPath(new URL('../load/parse-loop.process.js', import.meta.url));
const LOAD = fileURLToPath(new URL('../load/load.process.js', import.meta.url));
const IN_FLIGHT = 4;

export const firstTouch: Measure = {
  name: 'first-touch',
  description: 'first touch of a large thread, and other streams meanwhile',
  run: async (bench) => {
    const dir = await largeThread(bench);
    const path = join(dir, 'threads', LARGE, 'runs', 'r1.jsonl');
    const { longRepetitions } = bench.scale;
    const alone = [
      { title: 'eventlogd, first touch', take: () => touchMs(dir) },
      { title: 'JSON.parse of each line', take: () => parseLoopMs(path) },
    ];
    const touches = await interleave(bench, alone, longRepetitions);
    const others = [{ title: 'other streams', take: () => otherStreams(bench, dir) }];
    const [beside] = (await interleave(bench, others, longRepetitions)).values();
    const megabytes = Math.round(statSync(path).size / 1e6);
    return comparisonsOf(megabytes, touches, beside ?? []);
  },
};

/** In a daemon whose other code is warm: a small thread was read before. */
async function touchMs(dir: string): Promise<number> {
  await using _daemon = await startDaemon(dir);
  const log = await connect({ dir, timeoutMs: 120_000 });
  await log.runs.listMessages(SMALL);
  const cost = await millisecondsOf(() => log.runs.listMessages(LARGE));
  await log.close();
  return cost;
}

async function parseLoopMs(path: string): Promise<number> {
  await using loop = await startClient(PARSE_LOOP, path);
  const { ms } = await ask<{ readonly ms: number }>(loop, 'parse');
  return ms;
}

interface Beside {
  readonly beforeMs: number;
  readonly duringMs: number;
}

/** The p99 of appends to other streams before the touch and during it. */
async function otherStreams({ scale }: Bench, dir: string): Promise<Beside> {
  await using _daemon = await startDaemon(dir);
  await using load = await startClient(LOAD, { peer: 'eventlogd', at: dir });
  const log = await connect({ dir, timeoutMs: 120_000 });
  const order: LoadOrder = {
    seconds: scale.sliceSeconds,
    inFlight: IN_FLIGHT,
    firstStream: 0,
    streams: 64,
    offset: 0,
    contentBytes: 200,
  };
  // The code has been compiled before anything counts.
  await ask<LoadDone>(load, { ...order, seconds: scale.warmUpSeconds + scale.sliceSeconds });
  const before = await ask<LoadDone>(load, order);
  let ended = Number.POSITIVE_INFINITY;
  const touch = log.runs.listMessages(LARGE).finally(() => {
    ended = monotonicMs();
  });
  const during: number[] = [];
  while (ended === Number.POSITIVE_INFINITY) {
    const { latenciesMs, endsMs } = await ask<LoadDone>(load, order);
    during.push(...latenciesMs.filter((latency, at) => (endsMs[at] ?? 0) - latency <= ended));
  }
  await touch;
  await log.close();
  return {
    beforeMs: percentile(before.latenciesMs.sort(), 0.99),
    duringMs: percentile(Float64Array.from(during).sort(), 0.99),
  };
}

function comparisonsOf(
  megabytes: number,
  touches: ReadonlyMap<string, readonly number[]>,
  beside: readonly Beside[],
): Comparison[] {
  const [touch = '', loop = ''] = touches.keys();
  return [
    {
      name: 'first-touch',
      title: `First touch of a thread of ${megabytes} MB`,
      unit: 'ms',
      entries: [...touches].map(([of, values]) => ({ of, values })),
      targets: [{ of: touch, against: loop, by: 'ratio', bound: 'at most', limit: 1.5 }],
    },
    {
      name: 'first-touch-others',
      title: `Append to another stream, ${IN_FLIGHT} in flight, p99`,
      unit: 'ms',
      entries: [
        { of: 'during the first touch', values: beside.map(({ duringMs }) => duringMs) },
        { of: 'before', values: beside.map(({ beforeMs }) => beforeMs) },
      ],
      targets: [
        {
          of: 'during the first touch',
          against: 'before',
          by: 'ratio',
          bound: 'at most',
          limit: 1.5,
        },
      ],
    },
  ];
}
