/**
 * The few ways in which eventlogd changes a disk. Synchronous: used on worker threads only.
 *
 * @module
 */
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { during } from '../workers/failure.js';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC } = constants;
const ZEROS = Buffer.alloc(256 * 1024);

/** Modes of what eventlogd creates. */
export interface Modes {
  readonly file: number;
  readonly folder: number;
}

/**
 * Writes all bytes. A short count hides an error: the rest is written again to learn which.
 *
 * @param at the offset, or null to append
 */
export function writeFully(fd: number, bytes: Uint8Array, at: number | null, path: string): void {
  let written = 0;
  while (written < bytes.length) {
    const from = written;
    written += during('write', path, () =>
      writeSync(fd, bytes, from, bytes.length - from, at === null ? null : at + from),
    );
  }
}

/** Writes zeros from one offset to another; returns how far it came, which is `to` on success. */
export function writeZeros(fd: number, from: number, to: number, path: string): void {
  for (let at = from; at < to; at += ZEROS.length) {
    writeFully(fd, ZEROS.subarray(0, Math.min(ZEROS.length, to - at)), at, path);
  }
}

export function syncData(fd: number, path: string): void {
  during('sync', path, () => fdatasyncSync(fd));
}

export function syncFile(fd: number, path: string): void {
  during('sync', path, () => fsyncSync(fd));
}

/** Makes what is in a file durable. */
export function syncPath(path: string): void {
  const fd = openFile(path, 'read');
  try {
    syncFile(fd, path);
  } finally {
    closeSync(fd);
  }
}

/** Makes the entries of a folder durable. */
export function syncFolder(path: string): void {
  const fd = during('open', path, () => openSync(path, O_RDONLY));
  try {
    syncFile(fd, path);
  } finally {
    closeSync(fd);
  }
}

/** Cuts a file to a length and makes that durable. */
export function cutFile(fd: number, length: number, path: string): void {
  during('write', path, () => ftruncateSync(fd, length));
  syncFile(fd, path);
}

/** Writes a file under a temporary name, syncs it, and gives it its name durably. */
export function replaceFile(path: string, bytes: Uint8Array, mode: number): void {
  const temporary = `${path}.tmp`;
  const fd = during('open', temporary, () =>
    openSync(temporary, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, mode),
  );
  let written = false;
  try {
    writeFully(fd, bytes, 0, temporary);
    syncFile(fd, temporary);
    written = true;
  } finally {
    closeSync(fd);
    // What had no room must not take the last of it.
    if (!written) unlinkSync(temporary);
  }
  moveFile(temporary, path);
  syncFolder(dirname(path));
}

export function moveFile(from: string, to: string): void {
  during('move', from, () => renameSync(from, to));
}

/** Creates a folder if it is not there; returns whether it was created. */
export function makeFolder(path: string, mode: number): boolean {
  return during('open', path, () => mkdirSync(path, { recursive: true, mode })) !== undefined;
}

/** Opens a file that must not be a link, nor a pipe, whose opening waits for its other end. */
export function openFile(path: string, access: 'read' | 'write' | 'create', mode = 0o600): number {
  const flags =
    access === 'read' ? O_RDONLY : access === 'write' ? O_RDWR : O_RDWR | O_CREAT | O_EXCL;
  return during('open', path, () => {
    const fd = openSync(path, flags | O_NOFOLLOW | O_NONBLOCK, mode);
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
    throw new Error('it is no regular file');
  });
}

export function sizeOf(fd: number): number {
  return fstatSync(fd).size;
}

export { closeSync as closeFile };
