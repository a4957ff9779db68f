/**
 * The worker thread of checkpoints: syncs what was written since the last one, then makes the
 * catalog durable, then empties the trash that the catalog covers.
 *
 * @module
 */
import { rmSync } from 'node:fs';
import { SLOW_SYNC_MS } from '../../shared/limits.js';
import { appendToCatalog, type CatalogEnd, writeCatalogAnew } from '../storage/catalog-file.js';
import { syncFile, syncFolder } from '../storage/disk.js';
import type { Layout } from '../storage/layout.js';
import { asResult, during, FailureError, isNoRoom, type Result } from './failure.js';
import { serveTasks, type TaskLine } from './serve-tasks.js';

export interface CheckpointTask {
  readonly layout: Layout;
  readonly files: readonly { readonly fd: number; readonly path: string }[];
  readonly folders: readonly string[];
  readonly epoch: number;
  readonly end: CatalogEnd;
  /** A frame with the changes, and one with everything where the file is to be replaced. */
  readonly changes: Uint8Array;
  readonly everything: Uint8Array | null;
  /** Whether the changes alone would leave out what the file on disk lacks. */
  readonly mustReplace: boolean;
  readonly trash: readonly string[];
}

export interface CheckpointDone {
  readonly end: CatalogEnd;
  readonly replaced: boolean;
  readonly fileSyncs: number;
  readonly directorySyncs: number;
  /** Syncs that took long. */
  readonly slow: readonly { readonly path: string; readonly ms: number }[];
}

export default (line: TaskLine): void => serveTasks(line, run);

function run(task: CheckpointTask): Result<CheckpointDone> {
  return asResult(() => {
    const slow: { path: string; ms: number }[] = [];
    const timed = <T>(path: string, sync: () => T): T => {
      const began = performance.now();
      const result = sync();
      const ms = performance.now() - began;
      if (ms >= SLOW_SYNC_MS) slow.push({ path, ms });
      return result;
    };
    for (const { fd, path } of task.files) timed(path, () => syncFile(fd, path));
    let directorySyncs = 0;
    for (const folder of task.folders) {
      if (timed(folder, () => syncFolderIfThere(folder))) directorySyncs += 1;
    }
    const { end, replaced } = timed('the catalog', () => writeCatalog(task));
    for (const folder of task.trash) {
      during('write', folder, () => rmSync(folder, { recursive: true, force: true }));
    }
    return { end, replaced, fileSyncs: task.files.length, directorySyncs, slow };
  });
}

function writeCatalog(task: CheckpointTask): {
  readonly end: CatalogEnd;
  readonly replaced: boolean;
} {
  const { everything, end, mustReplace } = task;
  if (everything !== null) {
    const anew = asResult(() =>
      writeCatalogAnew(task.layout, end.number + 1, everything, task.epoch),
    );
    if (anew.ok) return { end: anew.value, replaced: true };
    if (!isNoRoom(anew.failure) || mustReplace) throw new FailureError(anew.failure);
  }
  return { end: appendToCatalog(end, task.changes), replaced: false };
}

/** A folder may have been deleted since something was created in it. */
function syncFolderIfThere(folder: string): boolean {
  const synced = asResult(() => syncFolder(folder));
  if (synced.ok) return true;
  if (synced.failure.code === 'ENOENT') return false;
  throw new FailureError(synced.failure);
}
