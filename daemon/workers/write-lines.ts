/**
 * Appends lines to a journal file in one write, and finds out where they came to lie if another
 * program appends to it at the same time.
 *
 * @module
 */
import { fstatSync, readSync, writeSync } from 'node:fs';
import { TORN_WAIT_MS } from '../../shared/limits.js';
import { cutFile } from '../storage/disk.js';
import type { FileWrite, FileWritten } from './commit-task.js';
import { during, FailureError, failureOf } from './failure.js';

const LF = 0x0a;
const LF_BYTES = Uint8Array.of(LF);
const TORN_LOOK_MS = 0.5;
/** What nobody ever wakes. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** Writes the lines; never throws for what the disk refuses. */
export function writeLines(write: FileWrite): FileWritten {
  const { fd, path } = write;
  let before = write.expectedSize;
  try {
    const stat = during('read', path, () => fstatSync(fd));
    before = stat.size;
    const grown = before !== write.expectedSize;
    if (grown) before = waitForLf(fd, before, path);
    const fence = grown ? !endsWithLf(fd, before, path) : write.needsLf;
    const bytes = fence ? Buffer.concat([LF_BYTES, write.bytes]) : write.bytes;
    appendWhole(fd, bytes, before, path);
    const size = fstatSync(fd).size;
    const at = size - write.bytes.length;
    if (!grown && size === before + bytes.length) return { ok: true, at, size, foreign: false };
    return locate(write, before, size);
  } catch (error) {
    return { ok: false, failure: failureOf(error, 'write', path), size: before };
  }
}

/** One write; what a short one left is cut off again if nothing follows it. */
function appendWhole(fd: number, bytes: Uint8Array, before: number, path: string): void {
  let written = 0;
  try {
    written = during('write', path, () => writeSync(fd, bytes));
    if (written === bytes.length) return;
    // A short count hides an error; writing the rest shows which.
    const rest = bytes.subarray(written);
    written += during('write', path, () => writeSync(fd, rest));
    if (written === bytes.length) return;
    throw new FailureError({ phase: 'write', code: 'EIO', path, message: 'short write' });
  } catch (error) {
    if (written > 0 && fstatSync(fd).size === before + written) cutFile(fd, before, path);
    throw error;
  }
}

/** Finds our lines among what was written to the file meanwhile. */
function locate(write: FileWrite, before: number, size: number): FileWritten {
  const { fd, path, expectedSize, bytes } = write;
  const from = Math.min(expectedSize, before);
  const region = Buffer.allocUnsafe(size - from);
  during('read', path, () => readSync(fd, region, 0, region.length, from));
  const found = region.lastIndexOf(bytes);
  const preceding = from + found === 0 || found === 0 ? LF : region[found - 1];
  if (found !== -1 && preceding === LF) {
    return { ok: true, at: from + found, size, foreign: true };
  }
  // A torn foreign line came in between and runs into ours: ours is written once more, apart.
  const again = Buffer.concat([LF_BYTES, bytes]);
  appendWhole(fd, again, size, path);
  const after = fstatSync(fd).size;
  return after === size + again.length
    ? { ok: true, at: after - bytes.length, size: after, foreign: true }
    : locate({ ...write, expectedSize: size }, size, after);
}

/** Gives another program a little time to end the line that it is writing; returns the new size. */
function waitForLf(fd: number, size: number, path: string): number {
  const deadline = performance.now() + TORN_WAIT_MS;
  let now = size;
  while (!endsWithLf(fd, now, path) && performance.now() < deadline) {
    Atomics.wait(NEVER, 0, 0, TORN_LOOK_MS);
    now = during('read', path, () => fstatSync(fd)).size;
  }
  return now;
}

function endsWithLf(fd: number, size: number, path: string): boolean {
  if (size === 0) return true;
  const last = Buffer.allocUnsafe(1);
  during('read', path, () => readSync(fd, last, 0, 1, size - 1));
  return last[0] === LF;
}
