/**
 * How many journal files may be open, by what the system lets this process open.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { DESCRIPTORS_RESERVED, DIRTY_FILES_MAX, IDLE_FILES_MAX } from '../shared/limits.js';

const FILES_MIN = 16;

/** How many journal files may be dirty, and how many clean ones stay open. */
export function fileLimits(): {
  readonly dirtyFilesMax: number;
  readonly idleFilesMax: number;
  readonly batchFilesMax: number;
} {
  const room = openFilesMax() - DESCRIPTORS_RESERVED;
  const idleFilesMax = Math.max(FILES_MIN, Math.min(IDLE_FILES_MAX, Math.floor(room / 4)));
  const dirtyFilesMax = Math.max(FILES_MIN, Math.min(DIRTY_FILES_MAX, Math.floor(room / 2)));
  const batchFilesMax = Math.max(FILES_MIN, Math.floor(room / 2));
  return { dirtyFilesMax, idleFilesMax, batchFilesMax };
}

/** The files that this process may have open. */
function openFilesMax(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 1024);
  } catch {
    // Not Linux: the least that any system gives.
    return 256;
  }
}
