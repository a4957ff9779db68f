/**
 * What chokidar takes to watch a thousand files and to let go of them, when so many others were
 * watched and let go before: why the daemon's watcher never asks it to let go of any.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { watch } from 'chokidar';
import { WATCH_INTERVAL_MS } from '../../shared/limits.js';

/** What the process is told, as JSON in its first argument. */
export interface UnwatchPlan {
  readonly folder: string;
  readonly files: number;
  /** Watched and let go at a time. */
  readonly step: number;
}

export interface UnwatchCosts {
  /** CPU of each step, in milliseconds. */
  readonly ms: readonly number[];
}

/** Long enough for each file to be looked at. */
const SEEN_MS = 800;

const { folder, files, step } = JSON.parse(process.argv[2] ?? '') as UnwatchPlan;
process.on('message', () => void steps());
process.on('disconnect', () => process.exit());
process.send?.({ kind: 'ready' });

async function steps(): Promise<void> {
  const watcher = watch([], { usePolling: true, interval: WATCH_INTERVAL_MS, ignoreInitial: true });
  const ms: number[] = [];
  for (let from = 0; from < files; from += step) {
    const paths = Array.from({ length: step }, (_, at) => join(folder, `s${from + at}.jsonl`));
    const before = process.cpuUsage();
    watcher.add(paths);
    await sleep(SEEN_MS);
    watcher.unwatch(paths);
    const { user, system } = process.cpuUsage(before);
    ms.push((user + system) / 1000);
  }
  await watcher.close();
  const told: UnwatchCosts = { ms };
  process.send?.(told);
}
