/**
 * Many subscribers on one stream. Those who keep up get each event from one encoding; those who
 * fall behind read it from disk, each by itself.
 */
import { connect, type EventLog } from '../../client/index.js';
import type { Comparison, Entry } from '../comparison.js';
import { interleave } from '../harness.js';
import { Followers } from '../load/followers.js';
import type { Measure } from '../measure.js';
import { startDaemon } from '../peers/eventlogd.js';
import { percentile } from '../statistics.js';
import { monotonicMs } from '../support/clock.js';

/** In so many processes with so many subscriptions each. */
const AUDIENCES = [
  { processes: 1, subscriptions: 1 },
  { processes: 2, subscriptions: 25 },
  { processes: 2, subscriptions: 100 },
];
const BURST = 16;
/** More than the 256 KiB that a subscription is sent ahead of its consumer. */
const FLOOD = 2_000;
const CONTENT = 'x'.repeat(200);

interface Audience {
  readonly title: string;
  readonly stream: string;
  readonly followers: Followers;
}

interface Heard {
  /** From an append to the arrival at each subscriber, p50 of all. */
  readonly delayMs: number;
  readonly encodedPerEvent: number;
}

export const subscribers: Measure = {
  name: 'subscribers',
  description: '1, 50 and 200 subscribers on one stream',
  run: async (bench) => {
    await using daemon = await startDaemon(await bench.newFolder());
    const log = await connect({ dir: daemon.dir });
    const audiences: Audience[] = [];
    try {
      for (const [at, size] of AUDIENCES.entries()) {
        const stream = `s${at}`;
        const target = { peer: 'eventlogd', at: daemon.dir } as const;
        const count = size.processes * size.subscriptions;
        const title = `${count} ${count === 1 ? 'subscriber' : 'subscribers'}`;
        const followers = await Followers.start(target, stream, size);
        audiences.push({ title, stream, followers });
      }
      const { warmUpSeconds, sliceSeconds } = bench.scale;
      for (const audience of audiences) await bursts(log, audience, warmUpSeconds);
      const inBursts = await interleave(
        bench,
        audiences.map((audience) => ({
          title: audience.title,
          take: () => bursts(log, audience, sliceSeconds),
        })),
      );
      const inFloods = await interleave(
        bench,
        audiences.map((audience) => ({
          title: audience.title,
          take: () => heard(log, audience, () => appendAll(log, audience, FLOOD)),
        })),
      );
      return comparisonsOf(inBursts, inFloods);
    } finally {
      for (const { followers } of audiences) await followers[Symbol.asyncDispose]();
      await log.close();
    }
  },
};

/** Bursts, the next when everybody has heard the last. */
async function bursts(log: EventLog, audience: Audience, seconds: number): Promise<Heard> {
  const delays: number[] = [];
  const before = await encodedBy(log);
  let events = 0;
  for (const end = monotonicMs() + seconds * 1000; monotonicMs() < end; events += BURST) {
    const { delayMs } = await heard(log, audience, () => appendAll(log, audience, BURST));
    delays.push(delayMs);
  }
  return {
    delayMs: percentile(Float64Array.from(delays).sort(), 0.5),
    encodedPerEvent: ((await encodedBy(log)) - before) / events,
  };
}

async function heard(
  log: EventLog,
  { followers }: Audience,
  append: () => Promise<number>,
): Promise<Heard> {
  const before = await encodedBy(log);
  const events = await append();
  const delays = await followers.delaysMs(events);
  return {
    delayMs: percentile(delays, 0.5),
    encodedPerEvent: ((await encodedBy(log)) - before) / events,
  };
}

async function appendAll(log: EventLog, { stream }: Audience, events: number): Promise<number> {
  await Promise.all(
    Array.from({ length: events }, () =>
      log.turns.append(stream, {
        event: 'token',
        turn_id: 't',
        content: `${monotonicMs()} ${CONTENT}`,
      }),
    ),
  );
  return events;
}

async function encodedBy(log: EventLog): Promise<number> {
  const { pushed } = (await log.stats()) as { readonly pushed?: { readonly encoded: number } };
  return pushed?.encoded ?? Number.NaN;
}

type Turns = ReadonlyMap<string, readonly Heard[]>;

function comparisonsOf(inBursts: Turns, inFloods: Turns): Comparison[] {
  const entries = (turns: Turns, figure: (heard: Heard) => number): Entry[] =>
    [...turns].map(([of, results]) => ({ of, values: results.map(figure) }));
  return [
    {
      name: 'encodings',
      title: 'How often an event is encoded for subscribers that keep up',
      unit: 'times',
      entries: entries(inBursts, ({ encodedPerEvent }) => encodedPerEvent),
      targets: [...inBursts.keys()].map((of) => ({
        of,
        against: '',
        by: 'value',
        bound: 'at most',
        limit: 1,
      })),
    },
    {
      name: 'fan-out',
      title: `Append to arrival, bursts of ${BURST} events, p50 of all subscribers`,
      unit: 'ms',
      entries: entries(inBursts, ({ delayMs }) => delayMs),
      targets: [],
    },
    {
      name: 'encodings-behind',
      title: `How often an event is encoded when ${FLOOD.toLocaleString('en-US')} come at once`,
      unit: 'times',
      entries: entries(inFloods, ({ encodedPerEvent }) => encodedPerEvent),
      targets: [],
    },
  ];
}
