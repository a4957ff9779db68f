/**
 * What the number of streams costs, checkpoints included: few streams and many by turns, each
 * turn long enough for a checkpoint to come by.
 */
import { connect, type EventLog } from '../../client/index.js';
import type { Comparison, Entry } from '../comparison.js';
import { interleave } from '../harness.js';
import { Contestant, type Slice } from '../load/contestant.js';
import type { Bench, Measure } from '../measure.js';
import { eventlogd } from '../peers/eventlogd.js';
import { percentile, sortedFrom } from '../statistics.js';
import { monotonicMs } from '../support/clock.js';
import { DISK_AS_IT_IS } from '../support/disk.js';

const CLIENTS = 4;
const IN_FLIGHT = 16;
const FEW = 64;
const MANY = 1_000;
/** Longer events, so that the 64 MiB of log that start a checkpoint come together sooner. */
const CONTENT_BYTES = 1_000;
const POLL_MS = 20;
/** A daemon that makes no checkpoint in so many turns makes none. */
const SLICES_MAX = 100;

interface Span {
  readonly began: number;
  readonly ended: number;
}

/** Several slices in one, until a checkpoint was seen. */
interface CheckpointedTurn {
  readonly appendsPerSecond: number;
  readonly p99OutsideMs: number;
  readonly p99DuringMs: number;
  readonly fsyncsPerAppend: number;
}

export const checkpoints: Measure = {
  name: 'checkpoints',
  description: `${CLIENTS} × ${IN_FLIGHT} in flight on ${FEW} and on ${MANY} streams, over checkpoints`,
  run: async (bench) => {
    const plan = { peer: eventlogd, title: eventlogd.title, disk: DISK_AS_IT_IS };
    await using contestant = await Contestant.start(
      { ...plan, clients: CLIENTS, inFlight: IN_FLIGHT },
      await bench.newFolder(),
    );
    const log = await connect({ dir: contestant.served.target.at });
    await contestant.slice({ seconds: bench.scale.warmUpSeconds, streams: MANY });
    const turns = await interleave(
      bench,
      [FEW, MANY].map((streams) => ({
        title: streamsTitle(streams),
        take: () => turnWithCheckpoint(bench, { contestant, log, streams }),
      })),
    );
    await log.close();
    return comparisonsOf(turns);
  },
};

function streamsTitle(streams: number): string {
  return `${streams.toLocaleString('en-US')} streams`;
}

async function turnWithCheckpoint(
  bench: Bench,
  {
    contestant,
    log,
    streams,
  }: { readonly contestant: Contestant; readonly log: EventLog; readonly streams: number },
): Promise<CheckpointedTurn> {
  const seconds = bench.scale.sliceSeconds;
  const watch = watchCheckpoints(log);
  const before = await fsyncsOf(log);
  const slices: Slice[] = [];
  while (watch.spans.length === 0) {
    if (slices.length === SLICES_MAX) throw new Error('there was no checkpoint');
    slices.push(await contestant.slice({ seconds, streams, contentBytes: CONTENT_BYTES }));
  }
  await watch.stop();
  const after = await fsyncsOf(log);
  const { during, outside } = latenciesBy(slices, watch.spans);
  const appends = slices.reduce((sum, slice) => sum + slice.appends, 0);
  return {
    appendsPerSecond:
      slices.reduce((sum, slice) => sum + slice.appendsPerSecond, 0) / slices.length,
    p99OutsideMs: percentile(outside, 0.99),
    p99DuringMs: percentile(during, 0.99),
    fsyncsPerAppend: (after - before) / appends,
  };
}

/** Gathers when checkpoints run, on the clock of the client processes. */
function watchCheckpoints(log: EventLog): {
  readonly spans: readonly Span[];
  readonly stop: () => Promise<void>;
} {
  const spans: Span[] = [];
  const since = Date.now();
  const toMonotonic = monotonicMs() - since;
  let isOver = false;
  const poll = async (): Promise<void> => {
    for (let last = since; !isOver; ) {
      const { lastCheckpoint } = (await log.stats()) as { readonly lastCheckpoint?: Span | null };
      if (lastCheckpoint && lastCheckpoint.began > last) {
        const { began, ended } = lastCheckpoint;
        spans.push({ began: began + toMonotonic, ended: ended + toMonotonic });
        last = ended;
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  };
  const polling = poll();
  const stop = async (): Promise<void> => {
    isOver = true;
    await polling;
  };
  return { spans, stop };
}

async function fsyncsOf(log: EventLog): Promise<number> {
  const { fsyncs } = await log.stats();
  return fsyncs.log + fsyncs.files + fsyncs.directories;
}

/** The latencies of appends that were under way in a checkpoint, and those of all others. */
function latenciesBy(
  slices: readonly Slice[],
  spans: readonly Span[],
): { readonly during: Float64Array; readonly outside: Float64Array } {
  const during: number[] = [];
  const outside: number[] = [];
  for (const { endsMs, latenciesMs } of slices.flatMap(({ parts }) => parts)) {
    for (const [at, end] of endsMs.entries()) {
      const latency = latenciesMs[at] ?? Number.NaN;
      const isDuring = spans.some(({ began, ended }) => end >= began && end - latency <= ended);
      (isDuring ? during : outside).push(latency);
    }
  }
  return {
    during: sortedFrom([Float64Array.from(during)]),
    outside: sortedFrom([Float64Array.from(outside)]),
  };
}

function comparisonsOf(turns: ReadonlyMap<string, readonly CheckpointedTurn[]>): Comparison[] {
  const entries = (figure: (turn: CheckpointedTurn) => number): Entry[] =>
    [...turns].map(([of, results]) => ({ of, values: results.map(figure) }));
  const [few, many] = [streamsTitle(FEW), streamsTitle(MANY)];
  const ofMany = turns.get(many) ?? [];
  const how = `${CLIENTS} × ${IN_FLIGHT} in flight, ${CONTENT_BYTES / 1000} kB events`;
  return [
    {
      name: 'many-streams',
      title: `Appends a second over checkpoints, ${how}`,
      unit: '/s',
      entries: entries(({ appendsPerSecond }) => appendsPerSecond),
      targets: [{ of: few, against: many, by: 'ratio', bound: 'at most', limit: 1.3 }],
    },
    {
      name: 'checkpoint-p99',
      title: `Append to acknowledgement, p99, ${many}, ${how}`,
      unit: 'ms',
      entries: [
        { of: 'during a checkpoint', values: ofMany.map(({ p99DuringMs }) => p99DuringMs) },
        { of: 'outside', values: ofMany.map(({ p99OutsideMs }) => p99OutsideMs) },
      ],
      targets: [
        { of: 'during a checkpoint', against: 'outside', by: 'ratio', bound: 'at most', limit: 5 },
      ],
    },
    {
      name: 'fsyncs',
      title: `fsyncs of all kinds an append, ${how}`,
      unit: 'fsyncs',
      entries: entries(({ fsyncsPerAppend }) => fsyncsPerAppend),
      targets: [few, many].map((of) => ({
        of,
        against: '',
        by: 'value',
        bound: 'at most',
        limit: 1 / 16,
      })),
    },
  ];
}
