/** Several client processes with many appends in flight, on the streams that they share. */
import type { Comparison, Entry, Target } from '../comparison.js';
import { race } from '../harness.js';
import type { ContestantPlan, Slice } from '../load/contestant.js';
import type { Bench, Measure } from '../measure.js';
import { eventlogd } from '../peers/eventlogd.js';
import { oldWay } from '../peers/old-way.js';
import { redis } from '../peers/redis.js';
import { sqlite } from '../peers/sqlite.js';
import { percentile } from '../statistics.js';
import type { Disk } from '../support/disk.js';

const STREAMS = 64;
const CLIENTS = 4;
const IN_FLIGHT = 16;

export const appendThroughput: Measure = {
  name: 'append-throughput',
  description: `${CLIENTS} client processes × ${IN_FLIGHT} in flight, ${STREAMS} streams`,
  run: async (bench) => {
    const comparisons: Comparison[] = [];
    for (const disk of bench.disks) comparisons.push(...(await onDisk(bench, disk)));
    return comparisons;
  },
};

function plansFor(disk: Disk): ContestantPlan[] {
  const shared = [eventlogd, redis, sqlite].map((peer) => ({
    peer,
    title: peer.title,
    clients: CLIENTS,
    inFlight: IN_FLIGHT,
    disk,
  }));
  const old = [CLIENTS, 1].map((clients) => ({
    peer: oldWay,
    title: `${oldWay.title}, ${clients} ${clients === 1 ? 'process' : 'processes'}`,
    clients,
    inFlight: (CLIENTS * IN_FLIGHT) / clients,
    disk,
  }));
  return [...shared, ...old];
}

async function onDisk(bench: Bench, disk: Disk): Promise<Comparison[]> {
  const slices = await race(bench, plansFor(disk), STREAMS);
  const entries = (figure: (slice: Slice) => number): Entry[] =>
    [...slices].map(([of, results]) => ({ of, values: results.map(figure) }));
  const againstRedis = (bound: Target['bound'], limit: number): Target => ({
    of: eventlogd.title,
    against: redis.title,
    by: 'ratio',
    bound,
    limit,
  });
  const how = `${CLIENTS} × ${IN_FLIGHT} in flight, ${STREAMS} streams${disk.title}`;
  return [
    {
      name: `append-throughput${disk.suffix}`,
      title: `Appends a second, ${how}`,
      unit: '/s',
      entries: entries(({ appendsPerSecond }) => appendsPerSecond),
      targets: [againstRedis('at least', 1), againstRedis('at least', 1.5)],
    },
    {
      name: `append-p99${disk.suffix}`,
      title: `Append to acknowledgement, p99, ${how}`,
      unit: 'ms',
      entries: entries(({ latenciesMs }) => percentile(latenciesMs, 0.99)),
      targets: [againstRedis('at most', 1)],
    },
    {
      name: `append-cpu${disk.suffix}`,
      title: `CPU of the server an append, ${how}`,
      unit: 'µs',
      entries: entries(
        ({ serverCpuSeconds, appends }) => ((serverCpuSeconds ?? Number.NaN) / appends) * 1e6,
      ).filter(({ values }) => !values.some(Number.isNaN)),
      targets: [],
    },
    {
      name: `append-client-cpu${disk.suffix}`,
      title: `CPU of the clients an append, ${how}`,
      unit: 'µs',
      entries: entries(({ clientCpuSeconds, appends }) => (clientCpuSeconds / appends) * 1e6),
      targets: [],
    },
  ];
}
