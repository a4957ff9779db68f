/** One client with one append in flight: how long until it is acknowledged. */
import type { Comparison } from '../comparison.js';
import { race } from '../harness.js';
import type { Bench, Measure } from '../measure.js';
import { bare } from '../peers/bare.js';
import { eventlogd } from '../peers/eventlogd.js';
import { oldWay } from '../peers/old-way.js';
import type { Peer } from '../peers/peer.js';
import { redis } from '../peers/redis.js';
import { sqlite } from '../peers/sqlite.js';
import { percentile } from '../statistics.js';
import type { Disk } from '../support/disk.js';

const PEERS: readonly Peer[] = [eventlogd, bare, redis, sqlite, oldWay];
const STREAMS = 64;

export const appendLatency: Measure = {
  name: 'append-latency',
  description: '1 client, 1 append in flight',
  run: async (bench) => {
    const comparisons: Comparison[] = [];
    for (const disk of bench.disks) comparisons.push(await onDisk(bench, disk));
    return comparisons;
  },
};

async function onDisk(bench: Bench, disk: Disk): Promise<Comparison> {
  const plans = PEERS.map((peer) => ({ peer, title: peer.title, clients: 1, inFlight: 1, disk }));
  const slices = await race(bench, plans, STREAMS);
  return {
    name: `append-latency${disk.suffix}`,
    title: `Append to acknowledgement, 1 in flight, p50${disk.title}`,
    unit: 'ms',
    entries: [...slices].map(([of, results]) => ({
      of,
      values: results.map(({ latenciesMs }) => percentile(latenciesMs, 0.5)),
    })),
    targets: [
      {
        of: eventlogd.title,
        against: bare.title,
        by: 'difference',
        bound: 'at most',
        limit: 0.3,
      },
    ],
  };
}
