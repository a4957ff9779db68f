/** What it costs to notice other programs' changes. */
import { fileURLToPath } from 'node:url';
import { WATCHED_FILES_MAX } from '../../shared/limits.js';
import type { Comparison } from '../comparison.js';
import { ask, startClient } from '../load/children.js';
import { Contestant } from '../load/contestant.js';
import type { LineWriterPlan } from '../load/line-writer.process.js';
import type { UnwatchCosts, UnwatchPlan } from '../load/unwatch.process.js';
import type { WatcherPlan, WatcherShare } from '../load/watcher.process.js';
import type { Bench, Measure } from '../measure.js';
import { eventlogd } from '../peers/eventlogd.js';
import { DISK_AS_IT_IS } from '../support/disk.js';
import type { Running } from '../support/processes.js';
import { writeWatchedFiles } from '../support/watched-files.js';

const WATCHER = fileURLToPath(new URL('../load/watcher.process.js', import.meta.url));
const WRITER = fileURLToPath(new URL('../load/line-writer.process.js', import.meta.url));
const UNWATCH = fileURLToPath(new URL('../load/unwatch.process.js', import.meta.url));
const WRITTEN = 50;
const DAEMON = `the whole daemon, appending to ${WRITTEN} files`;
const UNWATCH_STEP = 1_000;
const UNWATCH_FILES = 8_000;
const SITUATIONS = [
  { title: `watcher, ${WRITTEN} files, 10,000 lines a second`, streams: WRITTEN, open: WRITTEN },
  { title: 'watcher, 1,000 idle files', streams: 1_000, open: 1_000 },
  {
    title: `watcher, ${WATCHED_FILES_MAX.toLocaleString('en-US')} idle files`,
    streams: WATCHED_FILES_MAX,
    open: WATCHED_FILES_MAX,
  },
  { title: 'watcher, 2,000 streams a second opened and closed', streams: 20_000, open: 1_000 },
];

export const watching: Measure = {
  name: 'watching',
  description: "CPU of noticing other programs' changes",
  run: async (bench) => {
    const comparison = await watcherShares(bench);
    const whole = { of: DAEMON, values: await daemonShare(bench) };
    return [{ ...comparison, entries: [whole, ...comparison.entries] }, await unwatching(bench)];
  },
};

/** The daemon's CPU as it appends to watched files, which the watcher's is a part of. */
async function daemonShare(bench: Bench): Promise<number[]> {
  const plan = { peer: eventlogd, title: DAEMON, disk: DISK_AS_IT_IS };
  const folder = await bench.newFolder();
  await using contestant = await Contestant.start({ ...plan, clients: 4, inFlight: 16 }, folder);
  const { repetitions, sliceSeconds, warmUpSeconds } = bench.scale;
  await contestant.slice({ seconds: warmUpSeconds, streams: WRITTEN });
  const values: number[] = [];
  while (values.length < repetitions) {
    const began = performance.now();
    const { serverCpuSeconds } = await contestant.slice({
      seconds: sliceSeconds,
      streams: WRITTEN,
    });
    const seconds = (performance.now() - began) / 1000;
    values.push(((serverCpuSeconds ?? Number.NaN) / seconds) * 100);
  }
  return values;
}

/** Each watcher is a process of its own and its CPU is its own: they run side by side. */
async function watcherShares(bench: Bench): Promise<Comparison> {
  const processes: Running[] = [];
  try {
    const starting = SITUATIONS.map(async ({ title, streams, open }) => {
      const folder = await bench.newFolder();
      writeWatchedFiles(folder, streams);
      const plan: WatcherPlan = { folder, streams, open };
      const process = await startClient(WATCHER, plan);
      processes.push(process);
      if (streams === WRITTEN) {
        const writing: LineWriterPlan = { folder, files: WRITTEN };
        processes.push(await startClient(WRITER, writing));
      }
      return { title, process };
    });
    const watchers = await Promise.all(starting);
    const values = watchers.map((): number[] => []);
    for (let repetition = 0; repetition < bench.scale.repetitions; repetition += 1) {
      bench.say(`${repetition + 1}/${bench.scale.repetitions}`);
      const told = await Promise.all(
        watchers.map(({ process }) => ask<WatcherShare>(process, bench.scale.sliceSeconds)),
      );
      for (const [at, { percent }] of told.entries()) values[at]?.push(percent);
    }
    return {
      name: 'watching',
      title: 'Share of a core that watching takes',
      unit: '%',
      entries: watchers.map(({ title }, at) => ({ of: title, values: values[at] ?? [] })),
      targets: [],
    };
  } finally {
    for (const process of processes) await process.end('SIGTERM');
  }
}

async function unwatching(bench: Bench): Promise<Comparison> {
  const folder = await bench.newFolder();
  writeWatchedFiles(folder, UNWATCH_FILES);
  const plan: UnwatchPlan = { folder, files: UNWATCH_FILES, step: UNWATCH_STEP };
  await using process = await startClient(UNWATCH, plan);
  const { ms } = await ask<UnwatchCosts>(process, 'measure');
  return {
    name: 'unwatching',
    title: `chokidar: CPU of watching ${UNWATCH_STEP} files and letting them go`,
    unit: 'ms',
    entries: ms.map((cost, at) => ({
      of: at === 0 ? 'at first' : `after ${at * UNWATCH_STEP} others`,
      values: [cost],
    })),
    targets: [],
  };
}
