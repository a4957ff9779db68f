/**
 * The worker thread that makes commit-log segments: created and zero-filled ahead of the writer,
 * deleted behind it.
 *
 * @module
 */
import { existsSync, ftruncateSync, unlinkSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  closeFile,
  cutFile,
  moveFile,
  openFile,
  sizeOf,
  syncData,
  syncFile,
  syncFolder,
  writeFully,
  writeZeros,
} from '../storage/disk.js';
import { asResult, during, type Failure, FailureError, isNoRoom, type Result } from './failure.js';
import { serveTasks, type TaskLine } from './serve-tasks.js';

const PAGE_BYTES = 4096;

export type SegmentTask =
  | {
      readonly kind: 'fill';
      readonly fd: number;
      readonly path: string;
      readonly from: number;
      readonly needed: number;
      readonly to: number;
    }
  | {
      readonly kind: 'spare';
      readonly path: string;
      readonly bytes: number;
      readonly bytesMin: number;
    }
  | {
      readonly kind: 'activate';
      readonly spare: string;
      readonly path: string;
      readonly header: Uint8Array;
    }
  | { readonly kind: 'seal'; readonly fd: number; readonly path: string; readonly length: number }
  | { readonly kind: 'remove'; readonly paths: readonly string[] };

/** The size of the file that the task was about; 0 for a removal. */
export type SegmentResult = Result<number>;

export default (line: TaskLine): void => serveTasks(line, run);

function run(task: SegmentTask): SegmentResult {
  return asResult(() => {
    switch (task.kind) {
      case 'fill':
        return fill(task);
      case 'spare':
        return makeSpare(task);
      case 'activate':
        return activate(task);
      case 'seal':
        cutFile(task.fd, task.length, task.path);
        return task.length;
      case 'remove':
        return remove(task.paths);
      default:
        return task satisfies never;
    }
  });
}

/** Fills a step; where there is no room for all of it, what is needed, and else nothing. */
function fill(task: Extract<SegmentTask, { kind: 'fill' }>): number {
  const { fd, path, from, needed, to } = task;
  const filled = asResult(() => writeZeros(fd, from, to, path));
  if (filled.ok) {
    syncData(fd, path);
    return to;
  }
  const end = sizeOf(fd) >= needed && isNoRoom(filled.failure) ? needed : from;
  cutFile(fd, end, path);
  if (end === from) throw new FailureError(filled.failure);
  return end;
}

/** Makes the next segment's file. On a disk without room a smaller one is better than none. */
function makeSpare(task: Extract<SegmentTask, { kind: 'spare' }>): number {
  const temporary = `${task.path}.tmp`;
  if (existsSync(temporary)) during('write', temporary, () => unlinkSync(temporary));
  const fd = openFile(temporary, 'create');
  let kept = false;
  try {
    const filled = asResult(() => writeZeros(fd, 0, task.bytes, temporary));
    if (!filled.ok) shrinkSpare(fd, task.bytesMin, filled.failure);
    syncFile(fd, temporary);
    kept = true;
  } finally {
    closeFile(fd);
    if (!kept) during('write', temporary, () => unlinkSync(temporary));
  }
  moveFile(temporary, task.path);
  syncFolder(dirname(task.path));
  return sizeOfPath(task.path);
}

function shrinkSpare(fd: number, bytesMin: number, failure: Failure): void {
  const bytes = Math.floor(sizeOf(fd) / PAGE_BYTES) * PAGE_BYTES;
  if (!isNoRoom(failure) || bytes < bytesMin) throw new FailureError(failure);
  ftruncateSync(fd, bytes);
}

function activate(task: Extract<SegmentTask, { kind: 'activate' }>): number {
  const fd = openFile(task.spare, 'write');
  try {
    writeFully(fd, task.header, 0, task.spare);
    syncFile(fd, task.spare);
  } finally {
    closeFile(fd);
  }
  moveFile(task.spare, task.path);
  syncFolder(dirname(task.path));
  return sizeOfPath(task.path);
}

function remove(paths: readonly string[]): number {
  for (const path of paths) during('write', path, () => unlinkSync(path));
  const [first] = paths;
  if (first !== undefined) syncFolder(dirname(first));
  return 0;
}

function sizeOfPath(path: string): number {
  const fd = openFile(path, 'read');
  try {
    return sizeOf(fd);
  } finally {
    closeFile(fd);
  }
}
