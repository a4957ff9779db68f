/**
 * Keeps damaged bytes aside before anything is cut or overwritten. Used on worker threads.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, openSync, readSync } from 'node:fs';
import { basename, join } from 'node:path';
import { during } from '../workers/failure.js';
import {
  closeFile,
  makeFolder,
  moveFile,
  openFile,
  replaceFile,
  syncFile,
  syncFolder,
} from './disk.js';
import type { Layout } from './layout.js';

const COPY_BYTES = 1024 * 1024;

/**
 * Writes the bytes to the quarantine folder, durably. The name tells where they come from; the
 * same bytes of the same place are kept once, so recovery can be repeated.
 *
 * @returns the path of the copy
 */
export function keepAside(
  layout: Layout,
  from: { readonly path: string; readonly offset: number },
  bytes: Uint8Array,
): string {
  makeFolder(layout.quarantine, 0o700);
  const digest = createHash('sha256').update(from.path).update(bytes).digest('hex').slice(0, 12);
  const name = `${basename(from.path).slice(0, 180)}-${from.offset}-${digest}`;
  const path = join(layout.quarantine, name);
  if (!existsSync(path)) replaceFile(path, bytes, 0o600);
  return path;
}

/**
 * Copies a whole file to the quarantine folder, durably and once.
 *
 * @returns the path of the copy
 */
export function keepFileAside(layout: Layout, path: string): string {
  makeFolder(layout.quarantine, 0o700);
  const digest = digestOfFile(path, path).slice(0, 12);
  const copy = join(layout.quarantine, `${basename(path).slice(0, 180)}-whole-${digest}`);
  if (existsSync(copy)) return copy;
  const temporary = `${copy}.tmp`;
  during('write', temporary, () => copyFileSync(path, temporary));
  const fd = openFile(temporary, 'write');
  try {
    syncFile(fd, temporary);
  } finally {
    closeFile(fd);
  }
  moveFile(temporary, copy);
  syncFolder(layout.quarantine);
  return copy;
}

/** SHA-256 of a file's content, as hexadecimal digits, with a text before it. */
export function digestOfFile(path: string, before = ''): string {
  const hash = createHash('sha256').update(before);
  const chunk = Buffer.allocUnsafe(COPY_BYTES);
  const fd = during('open', path, () => openSync(path, 'r'));
  try {
    for (;;) {
      const read = during('read', path, () => readSync(fd, chunk, 0, chunk.length, null));
      if (read === 0) return hash.digest('hex');
      hash.update(chunk.subarray(0, read));
    }
  } finally {
    closeFile(fd);
  }
}
