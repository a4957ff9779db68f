/**
 * Carries out a deletion: the files go to the trash, which gets its final name when it holds
 * them all. Done again after a crash, it ends the same.
 *
 * @module
 */
import { existsSync, readFileSync, rmdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import {
  closeFile,
  makeFolder,
  moveFile,
  openFile,
  replaceFile,
  syncFolder,
} from '../storage/disk.js';
import { type FileScan, scanFile } from '../storage/file-scan.js';
import { lineFacts } from '../storage/line-facts.js';
import type { TrashMove } from './commit-task.js';
import { FailureError } from './failure.js';

const LF = 0x0a;

/** What a deletion did: its directory fsyncs, and what the rewritten files hold now. */
export interface Trashed {
  readonly directorySyncs: number;
  readonly rewritten: readonly FileScan[];
}

export function trashFiles(moves: TrashMove): Trashed {
  if (existsSync(moves.final)) return { directorySyncs: 0, rewritten: [] };
  makeFolder(moves.partial, 0o700);
  for (const name of moves.fileNames)
    moveIfThere(join(moves.folder, name), join(moves.partial, name));
  const rewritten = moves.rewrites.flatMap((name) =>
    rewrite(moves.folder, name, moves.runId ?? ''),
  );
  // The final name says that all is done, so all of it is durable before.
  const folders = [moves.partial, ...(existsSync(moves.folder) ? [moves.folder] : [])];
  for (const folder of folders) syncFolder(folder);
  moveFile(moves.partial, moves.final);
  syncFolder(dirname(moves.final));
  let syncs = folders.length + 1;
  for (const folder of moves.emptied) {
    if (!removeIfEmpty(folder)) break;
    syncFolder(dirname(folder));
    syncs += 1;
  }
  return { directorySyncs: syncs, rewritten };
}

/** Writes a file anew without the lines of one run; whatever else it holds stays as it is. */
function rewrite(folder: string, name: string, runId: string): FileScan[] {
  const path = join(folder, name);
  if (!existsSync(path)) return [];
  const bytes = readFileSync(path);
  const kept: Buffer[] = [];
  let start = 0;
  while (start < bytes.length) {
    const lf = bytes.indexOf(LF, start);
    const end = lf === -1 ? bytes.length : lf + 1;
    const facts = lineFacts('runs', bytes.subarray(start, lf === -1 ? end : lf));
    const isRuns = facts?.kind.journal === 'runs' && facts.kind.runId === runId;
    if (!isRuns) kept.push(bytes.subarray(start, end));
    start = end;
  }
  replaceFile(path, Buffer.concat(kept), statSync(path).mode & 0o777);
  const fd = openFile(path, 'read');
  try {
    return [scanFile(fd, 'runs', name, { offset: 0, lines: 0 })];
  } finally {
    closeFile(fd);
  }
}

function moveIfThere(from: string, to: string): void {
  try {
    moveFile(from, to);
  } catch (error) {
    if (!(error instanceof FailureError && error.failure.code === 'ENOENT')) throw error;
  }
}

function removeIfEmpty(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch {
    // Something else lies in it, or it is gone already: both are as they should be.
    return false;
  }
}
