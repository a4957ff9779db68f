/**
 * Repairs one stream while the daemon serves all others. Nobody else in the daemon touches the
 * stream meanwhile, and no line of it is due from the commit log. Runs on a worker thread.
 *
 * A kill leaves each file as it was or as it is to be: until the daemon has committed what the
 * files hold now, they are not what the catalog knows, so the stream is fenced and can be repaired
 * again.
 *
 * @module
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { CatalogEntry } from '../storage/catalog-format.js';
import { makeFolder, syncFolder, syncPath } from '../storage/disk.js';
import { type Layout, type StreamName, stagingFolder } from '../storage/layout.js';
import type { LoadedStream } from '../streams/load.js';
import { checkStream } from '../verify/check-stream.js';
import { listStream } from '../verify/journal-listing.js';
import { during } from '../workers/failure.js';
import { putInPlace } from './finish.js';
import { planStream, type StreamPlan } from './plan-streams.js';
import { settledStream } from './settle.js';
import { stageStream } from './stage-stream.js';

/** What is to be done to a stream; null where it is nothing. */
export function planStreamRepair(
  layout: Layout,
  name: StreamName,
  entry: CatalogEntry | null,
): StreamPlan | null {
  const stream = listStream(layout, name);
  const facts = { entry, due: new Map() };
  const check = checkStream({ dir: layout.dir, stream, facts, onFinding: () => undefined });
  return planStream(layout.dir, stream, check);
}

/**
 * Carries out a plan.
 *
 * @returns the stream as it is now, or null where a file has changed since it was read: then
 *   nothing was replaced
 */
export function carryOutRepair(layout: Layout, plan: StreamPlan): LoadedStream | null {
  const folder = stagingFolder(layout);
  clear(folder);
  makeFolder(folder, 0o700);
  const { pending } = stageStream(layout, selfContained(plan), { folder, prefix: 'file' });
  const isInPlace = putInPlace(layout, pending, folder);
  clear(folder);
  if (!isInPlace) return null;
  const { name, folder: place, files } = plan.stream;
  // What another program wrote may be in the page cache alone; it is about to be accounted for.
  for (const file of files) syncPath(join(place, file.name));
  if (files.length > 0) syncFolder(place);
  const life = {
    ...name,
    generation: plan.entry?.generation ?? 0,
    lastSeq: pending.lastSeq,
    lastCreatedAtUs: plan.entry?.lastCreatedAtUs ?? 0,
    ranges: pending.ranges,
  };
  const syncs = { files: files.length, directories: files.length > 0 ? 1 : 0 };
  return { ...settledStream(layout, life, pending.fileNames), syncs };
}

/**
 * Lines without a seq get their own where their file is written anew: after a kill the places that
 * the catalog knows would be those of other lines.
 */
function selfContained(plan: StreamPlan): StreamPlan {
  const hasRanges = (plan.entry?.ranges.length ?? 0) > 0;
  return { ...plan, materialize: plan.materialize || (plan.takeOut && hasRanges) };
}

function clear(folder: string): void {
  during('write', folder, () => rmSync(folder, { recursive: true, force: true }));
}
