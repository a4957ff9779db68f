/**
 * Reads what other programs added to the files of an open stream. Runs on a worker thread.
 *
 * @module
 */
import { fstatSync } from 'node:fs';
import { join } from 'node:path';
import type { Journal } from '../../shared/events.js';
import { closeFile, openFile } from '../storage/disk.js';
import { type FileScan, matchesMark, readRange, scanFile } from '../storage/file-scan.js';
import type { FileMark } from '../storage/log-records.js';
import type { FileIdentity } from '../watch/change-table.js';
import { during } from '../workers/failure.js';

/** The part of a file that is to be read. */
interface TailPart {
  /** What is accounted for of the file: it is read from there on. */
  readonly mark: FileMark;
  readonly to: number;
}

/** What to read. */
export interface TailTask {
  readonly journal: Journal;
  readonly folder: string;
  readonly parts: readonly TailPart[];
  /** How much of each file is taken; a longer line is taken whole. */
  readonly bytesMax: number;
  readonly eventsMax: number;
}

/** What was read of one file. */
export interface Tail {
  readonly identity: FileIdentity;
  readonly from: number;
  readonly scan: FileScan;
  /** How far all was looked at. */
  readonly scannedTo: number;
  /** What lies between `from` and the scan's mark. */
  readonly bytes: Uint8Array;
  /** Whether there is more up to where it was to be read. */
  readonly more: boolean;
}

/**
 * Reads the parts, each from its start as far as it may go.
 *
 * @returns null where a file no longer has what is accounted for: it was written anew, not added to
 */
export function readTails(task: TailTask): Tail[] | null {
  const tails: Tail[] = [];
  for (const part of task.parts) {
    const path = join(task.folder, part.mark.name);
    const fd = openFile(path, 'read');
    try {
      const tail = during('read', path, () => readTail(fd, part, task));
      if (tail === null) return null;
      tails.push(tail);
    } finally {
      closeFile(fd);
    }
  }
  return tails;
}

function readTail(fd: number, { mark, to }: TailPart, task: TailTask): Tail | null {
  if (!matchesMark(fd, mark)) return null;
  const { name, length: from, lines } = mark;
  const { dev, ino } = fstatSync(fd);
  const { journal, eventsMax } = task;
  for (let bytesMax = task.bytesMax; ; bytesMax *= 2) {
    const end = Math.min(to, from + bytesMax);
    const scan = scanFile(fd, journal, name, { offset: from, lines, to: end, eventsMax });
    // One line is longer than all that was read.
    if (scan.mark.length === from && end < to) continue;
    const more = end < to || scan.rows.count >= eventsMax;
    const bytes = readRange(fd, from, scan.mark.length);
    const scannedTo = more ? scan.mark.length : to;
    return { identity: { dev, ino }, from, scan, scannedTo, bytes, more };
  }
}
