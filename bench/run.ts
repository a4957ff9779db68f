/** A run: all measures, or some, in a folder that goes with it. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { lookAtMachine } from './machine.js';
import type { Bench, Measure, Scale } from './measure.js';
import { type Report, type ReportedComparison, reported, type Skipped } from './report/report.js';
import { DISK_AS_IT_IS, type Disk, slowDisk } from './support/disk.js';

/** What is told while it goes on. */
export interface Listener {
  readonly onProgress: (text: string) => void;
  readonly onMachine: (machine: Report['machine']) => void;
  readonly onSkipped: (skipped: Skipped) => void;
  readonly onComparison: (comparison: ReportedComparison) => void;
}

/** Runs the measures one after another; the data that they share are made once. */
export async function runMeasures(
  measures: readonly Measure[],
  scale: Scale,
  folder: string,
  listener: Listener,
): Promise<Report> {
  const began = performance.now();
  const machine = await lookAtMachine(folder);
  listener.onMachine(machine);
  const comparisons: ReportedComparison[] = [];
  const skipped: Skipped[] = [];
  const skip = (one: Skipped): void => {
    skipped.push(one);
    listener.onSkipped(one);
  };
  const disks: Disk[] = [DISK_AS_IT_IS];
  const slow = await slowDisk(folder);
  if ('missing' in slow) skip({ measure: 'all', what: 'a slow disk', why: slow.missing });
  else disks.push(slow);
  const dataSet = dataSetsIn(folder);
  for (const { name, run } of measures) {
    const own = await mkdtemp(join(folder, 'm'));
    const bench: Bench = {
      scale,
      newFolder: () => mkdtemp(join(own, 'f')),
      dataSet,
      say: (text) => listener.onProgress(`${name}: ${text}`),
      skip: (what, why) => skip({ measure: name, what, why }),
      disks,
    };
    for (const comparison of (await run(bench)).map(reported)) {
      comparisons.push(comparison);
      listener.onComparison(comparison);
    }
    await rm(own, { recursive: true });
  }
  machine.load.after = loadavg()[0] ?? Number.NaN;
  const seconds = Math.round((performance.now() - began) / 1000);
  return { scale, machine, seconds, comparisons, skipped };
}

function dataSetsIn(folder: string): Bench['dataSet'] {
  const made = new Map<string, Promise<string>>();
  return (name, make) => {
    const known = made.get(name);
    if (known !== undefined) return known;
    const path = join(folder, name);
    const making = mkdir(path).then(async () => {
      await make(path);
      return path;
    });
    made.set(name, making);
    return making;
  };
}
