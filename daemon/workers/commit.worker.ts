/**
 * The worker thread of the commit lane: it writes and syncs the commit log, then the journal
 * files. It never throws for what the disk refuses.
 *
 * @module
 */
import { cutFile, syncData, writeFully } from '../storage/disk.js';
import {
  type CommitResult,
  type CommitTask,
  type FileWritten,
  type LinesInFrame,
  packWritten,
  unpackLines,
} from './commit-task.js';
import { asResult, type Failure, failureOf } from './failure.js';
import { serveTasks, type TaskLine } from './serve-tasks.js';
import { trashFiles } from './trash-files.js';
import { writeLines } from './write-lines.js';

export default (line: TaskLine): void => serveTasks(line, run);

function run(task: CommitTask): CommitResult {
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
  const files: FileWritten[] = [];
  if (failure === null) {
    for (const lines of unpackLines(task.lines)) {
      // The other side knows the paths; they would cost as much as all else to send.
      files.push(writeLines({ ...lines, path: '', bytes: gather(log.frame, lines.places) }));
    }
  }
  return {
    kind: 'commit',
    logFailure: failure,
    ...packWritten(files),
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

function gather(frame: Uint8Array, places: LinesInFrame['places']): Uint8Array {
  if (places.length === 2) return frame.subarray(places[0], places[1]);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < places.length; at += 2)
    parts.push(frame.subarray(places[at], places[at + 1]));
  return Buffer.concat(parts);
}
