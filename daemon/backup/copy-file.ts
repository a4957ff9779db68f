/**
 * Copies one file, or brings a copy of it up to date: to a file that has only grown, what is new
 * is added. Runs on a worker thread.
 *
 * @module
 */
import { fchmodSync, fstatSync, ftruncateSync, lstatSync, readSync, type Stats } from 'node:fs';
import { BACKUP_CHUNK_BYTES } from '../../shared/limits.js';
import { closeFile, openFile, syncFile, writeFully } from '../storage/disk.js';
import { readRange } from '../storage/file-scan.js';
import { asResult, during, FailureError } from '../workers/failure.js';
import type { CopyRoom } from './copy-room.js';
import type { Meter } from './meter.js';

/** How much of a copy's end must still be in the original for the rest to be added to it. */
const TAIL_BYTES = 4096;

/** What a copy was made of. */
export interface Copied {
  readonly dev: number;
  readonly ino: number;
  /** Changes with every write to the file, whatever is done to its other times. */
  readonly ctimeMs: number;
  /** So many of the original's first bytes are the copy. */
  readonly size: number;
  /** Whether the copy is durable. */
  readonly isSynced: boolean;
}

/** What is told of each piece that is copied, and may stop it. */
export interface Pace {
  readonly meter: Meter;
  readonly room: CopyRoom;
}

/** What is to be copied, and how. */
export interface FileCopy {
  readonly from: string;
  readonly to: string;
  /** Only so many of its first bytes are copied. */
  readonly bytesMax: number;
  /** What the copy is of so far. */
  readonly known: Copied | undefined;
  readonly sync: boolean;
}

/**
 * Brings a copy up to its original.
 *
 * @returns what the copy is of now, or null where there is no such file
 */
export function copyFile(copy: FileCopy, pace: Pace): Copied | null {
  const { from, known, bytesMax } = copy;
  const seen = during('read', from, () => lstatSync(from, { throwIfNoEntry: false }));
  if (seen?.isFile() !== true) return null;
  if (known !== undefined && isSame(seen, known, bytesMax)) return known;
  const opened = asResult(() => openFile(from, 'read'));
  if (!opened.ok) {
    if (opened.failure.code === 'ENOENT') return null;
    throw new FailureError(opened.failure);
  }
  try {
    return copyOpen(opened.value, copy, pace);
  } finally {
    closeFile(opened.value);
  }
}

function isSame({ dev, ino, ctimeMs, size }: Stats, known: Copied, bytesMax: number): boolean {
  if (dev !== known.dev || ino !== known.ino) return false;
  // The first bytes of a file that is copied in part do not change.
  if (known.size === bytesMax) return true;
  return ctimeMs === known.ctimeMs && size === known.size;
}

function copyOpen(fd: number, copy: FileCopy, pace: Pace): Copied {
  const { from, to, known, bytesMax, sync } = copy;
  const stat = during('read', from, () => fstatSync(fd));
  const size = Math.min(stat.size, bytesMax);
  const out = openCopy(to, known);
  try {
    during('write', to, () => fchmodSync(out, stat.mode & 0o777));
    const begin =
      known !== undefined && hasOnlyGrown({ fd, from, out, stat, known }) ? known.size : 0;
    if (known !== undefined) pace.meter.expect(size - begin);
    during('write', to, () => ftruncateSync(out, begin));
    const end = copyBytes({ fd, from, out, to, begin, size }, pace);
    if (sync) syncFile(out, to);
    return { dev: stat.dev, ino: stat.ino, ctimeMs: stat.ctimeMs, size: end, isSynced: sync };
  } finally {
    closeFile(out);
  }
}

function openCopy(path: string, known: Copied | undefined): number {
  if (known !== undefined) return openFile(path, 'write');
  return openFile(path, 'create', 0o600);
}

/** Whether what was copied of a file is still its beginning. */
function hasOnlyGrown(both: {
  readonly fd: number;
  readonly from: string;
  readonly out: number;
  readonly stat: Stats;
  readonly known: Copied;
}): boolean {
  const { fd, from, out, stat, known } = both;
  const isOther = stat.dev !== known.dev || stat.ino !== known.ino;
  if (isOther || stat.size <= known.size) return false;
  const tail = (of: number): Buffer =>
    readRange(of, Math.max(0, known.size - TAIL_BYTES), known.size);
  return during('read', from, () => tail(fd).equals(tail(out)));
}

/** Copies a range; returns where it ended, which is before `size` where the file was cut meanwhile. */
function copyBytes(
  range: {
    readonly fd: number;
    readonly from: string;
    readonly out: number;
    readonly to: string;
    readonly begin: number;
    readonly size: number;
  },
  pace: Pace,
): number {
  const { fd, from, out, to, begin, size } = range;
  const chunk = Buffer.allocUnsafe(Math.min(BACKUP_CHUNK_BYTES, Math.max(0, size - begin)));
  let at = begin;
  while (at < size) {
    const wanted = Math.min(chunk.length, size - at);
    pace.meter.check();
    pace.room.require(wanted);
    const read = during('read', from, () => readSync(fd, chunk, 0, wanted, at));
    if (read === 0) break;
    writeFully(out, chunk.subarray(0, read), at, to);
    at += read;
    pace.meter.copied(read);
  }
  return at;
}
