/** How long until a subscriber in another process has an event. */
import type { Comparison } from '../comparison.js';
import { interleave } from '../harness.js';
import { Contestant } from '../load/contestant.js';
import { Followers } from '../load/followers.js';
import type { Bench, Measure } from '../measure.js';
import { eventlogd } from '../peers/eventlogd.js';
import { redis } from '../peers/redis.js';
import { percentile } from '../statistics.js';
import { DISK_AS_IT_IS } from '../support/disk.js';

interface LiveTurn {
  readonly ackMs: number;
  readonly seenMs: number;
}

interface Live extends AsyncDisposable {
  readonly title: string;
  readonly take: (seconds: number) => Promise<LiveTurn>;
}

export const live: Measure = {
  name: 'live',
  description: 'append to subscriber in another process, 1 in flight',
  run: async (bench) => {
    const sides: Live[] = [];
    try {
      for (const peer of [eventlogd, redis]) {
        const presence = await peer.presence();
        if ('missing' in presence) bench.skip(peer.title, presence.missing);
        else sides.push(await startLive(bench, peer));
      }
      for (const side of sides) await side.take(bench.scale.warmUpSeconds);
      const turns = await interleave(
        bench,
        sides.map(({ title, take }) => ({ title, take: () => take(bench.scale.sliceSeconds) })),
      );
      return [comparisonOf(turns)];
    } finally {
      for (const side of sides) await side[Symbol.asyncDispose]();
    }
  },
};

async function startLive(bench: Bench, peer: typeof eventlogd): Promise<Live> {
  const { title } = peer;
  const plan = { peer, title, clients: 1, inFlight: 1, disk: DISK_AS_IT_IS };
  const contestant = await Contestant.start(plan, await bench.newFolder());
  const followers = await Followers.start(contestant.served.target, 's0', {
    processes: 1,
    subscriptions: 1,
  });
  return {
    title,
    take: async (seconds) => {
      const { latenciesMs, appends } = await contestant.slice({ seconds });
      const delays = await followers.delaysMs(appends);
      return { ackMs: percentile(latenciesMs, 0.5), seenMs: percentile(delays, 0.5) };
    },
    [Symbol.asyncDispose]: async () => {
      await followers[Symbol.asyncDispose]();
      await contestant[Symbol.asyncDispose]();
    },
  };
}

function comparisonOf(turns: ReadonlyMap<string, readonly LiveTurn[]>): Comparison {
  const seen = `${eventlogd.title}, to subscriber`;
  const acknowledged = `${eventlogd.title}, to acknowledgement`;
  return {
    name: 'live',
    title: 'Append to subscriber in another process, 1 in flight, p50',
    unit: 'ms',
    entries: [...turns].flatMap(([title, results]) => [
      { of: `${title}, to subscriber`, values: results.map(({ seenMs }) => seenMs) },
      { of: `${title}, to acknowledgement`, values: results.map(({ ackMs }) => ackMs) },
    ]),
    targets: [{ of: seen, against: acknowledged, by: 'difference', bound: 'at most', limit: 0.3 }],
  };
}
