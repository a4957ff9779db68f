/** Pages of a large thread beside pages of a small one, and backward through all of it. */
import { connect, type EventLog } from '../../client/index.js';
import type { Comparison, Entry } from '../comparison.js';
import { interleave } from '../harness.js';
import type { Bench, Measure } from '../measure.js';
import { startDaemon } from '../peers/eventlogd.js';
import { percentile } from '../statistics.js';
import { millisecondsOf } from '../support/time.js';
import { LARGE, largeThread, SMALL, SMALL_EVENTS } from './large-thread.js';

const CALLS = 300;
const PAGE = 50;
const LONG_PAGE = 1_000;
/** Pages at either end of the thread that are compared. */
const PAGES_COMPARED = 20;

export const pages: Measure = {
  name: 'pages',
  description: 'the last messages of a large thread; backward through all of it',
  run: async (bench) => {
    await using daemon = await startDaemon(await largeThread(bench));
    const log = await connect({ dir: daemon.dir, timeoutMs: 120_000 });
    for (const threadId of [SMALL, LARGE]) await lastPageMs(log, threadId);
    const lastPages = await interleave(
      bench,
      [SMALL, LARGE].map((threadId) => ({
        title: threadTitle(bench, threadId),
        take: () => lastPageMs(log, threadId),
      })),
    );
    const walks = [{ title: 'backward', take: () => pageBackward(log) }];
    const [backward] = (await interleave(bench, walks, bench.scale.longRepetitions)).values();
    await log.close();
    return [lastPagesOf(bench, lastPages), ...backwardOf(bench, backward ?? [])];
  },
};

function threadTitle({ scale }: Bench, threadId: string): string {
  const events = threadId === SMALL ? SMALL_EVENTS : scale.largeThreadEvents;
  return `thread of ${events.toLocaleString('en-US')} events`;
}

async function lastPageMs(log: EventLog, threadId: string): Promise<number> {
  const costs = new Float64Array(CALLS);
  for (let call = 0; call < CALLS; call += 1) {
    costs[call] = await millisecondsOf(() => log.runs.listMessages(threadId, { limit: PAGE }));
  }
  return percentile(costs.sort(), 0.5);
}

interface Backward {
  readonly seconds: number;
  readonly newestMs: number;
  readonly oldestMs: number;
}

async function pageBackward(log: EventLog): Promise<Backward> {
  const costs: number[] = [];
  let beforeSeq: number | undefined;
  for (;;) {
    let first: number | undefined;
    const read = async (): Promise<void> => {
      const page = await log.runs.listMessages(LARGE, {
        limit: LONG_PAGE,
        ...(beforeSeq === undefined ? {} : { beforeSeq }),
      });
      first = page[0]?.seq;
    };
    const cost = await millisecondsOf(read);
    if (first === undefined) break;
    costs.push(cost);
    beforeSeq = first;
  }
  const middleOf = (some: readonly number[]): number =>
    percentile(Float64Array.from(some).sort(), 0.5);
  return {
    seconds: costs.reduce((sum, cost) => sum + cost, 0) / 1000,
    newestMs: middleOf(costs.slice(0, PAGES_COMPARED)),
    oldestMs: middleOf(costs.slice(-PAGES_COMPARED)),
  };
}

function lastPagesOf(bench: Bench, costs: ReadonlyMap<string, readonly number[]>): Comparison {
  const entries: Entry[] = [...costs].map(([of, values]) => ({ of, values }));
  return {
    name: 'last-page',
    title: `listMessages of the last ${PAGE}, warm, p50`,
    unit: 'ms',
    entries,
    targets: [
      {
        of: threadTitle(bench, LARGE),
        against: threadTitle(bench, SMALL),
        by: 'ratio',
        bound: 'at most',
        limit: 1.5,
      },
    ],
  };
}

function backwardOf(bench: Bench, walks: readonly Backward[]): Comparison[] {
  const of = threadTitle(bench, LARGE);
  return [
    {
      name: 'backward-pages',
      title: `Backward through a ${of}: a page of ${LONG_PAGE} messages, p50`,
      unit: 'ms',
      entries: [
        { of: 'newest pages', values: walks.map(({ newestMs }) => newestMs) },
        { of: 'oldest pages', values: walks.map(({ oldestMs }) => oldestMs) },
      ],
      targets: [],
    },
    {
      name: 'backward',
      title: `Backward through all messages of a ${of}`,
      unit: 's',
      entries: [{ of, values: walks.map(({ seconds }) => seconds) }],
      targets: [],
    },
  ];
}
