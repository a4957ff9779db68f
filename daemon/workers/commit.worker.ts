/**
 * The worker thread of the commit lane: it writes and syncs the commit log, then the journal
 * files. It never throws for what the disk refuses.
 *
 * @module
 */
import { cutFile, syncData, writeFully } from '../storage/disk.js';
import type { CommitResult, CommitTask } from './commit-task.js';
import { asResult, type Failure, failureOf } from './failure.js';
import { trashFiles } from './trash-files.js';
import { writeLines } from './write-lines.js';

export default function run(task: CommitTask): CommitResult {
  switch (task.kind) {
    case 'commit':
      return commit(task);
    case 'write':
      return { kind: 'write', files: task.files.map(writeLines) };
    case 'trash': {
      const moved = asResult(() => trashFiles(task.moves));
      return moved.ok
        ? { kind: 'trash', failure: null, ...moved.value }
        : { kind: 'trash', failure: moved.failure, directorySyncs: 0, rewritten: [] };
    }
    default:
      return task satisfies never;
  }
}

function commit(task: Extract<CommitTask, { kind: 'commit' }>): CommitResult {
  const { log } = task;
  const began = performance.now();
  const written = asResult(() => writeFully(log.fd, log.frame, log.at, log.path));
  const wrote = performance.now();
  const failure = written.ok ? syncLog(log) : cleanTail(log, written.failure);
  const synced = performance.now();
  const files =
    failure === null
      ? task.files.map((file) => writeLines({ ...file, bytes: gather(log.frame, file.places) }))
      : [];
  return {
    kind: 'commit',
    logFailure: failure,
    files,
    writeMs: wrote - began,
    syncMs: synced - wrote,
  };
}

function syncLog(log: { readonly fd: number; readonly path: string }): Failure | null {
  const synced = asResult(() => syncData(log.fd, log.path));
  return synced.ok ? null : synced.failure;
}

/** Takes a refused frame off the log again; if that fails, nobody knows what is on the disk. */
function cleanTail(
  log: { readonly fd: number; readonly at: number; readonly path: string },
  refused: Failure,
): Failure {
  try {
    cutFile(log.fd, log.at, log.path);
    return refused;
  } catch (error) {
    return { ...failureOf(error, 'sync', log.path), phase: 'sync' };
  }
}

function gather(frame: Uint8Array, places: readonly (readonly [number, number])[]): Uint8Array {
  const only = places.length === 1 ? places[0] : undefined;
  if (only !== undefined) return frame.subarray(only[0], only[1]);
  const length = places.reduce((sum, [start, end]) => sum + end - start, 0);
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const [start, end] of places) {
    bytes.set(frame.subarray(start, end), at);
    at += end - start;
  }
  return bytes;
}
