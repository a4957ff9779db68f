/** The memory of a daemon under fire, beside what its limits allow. */
import { readFileSync } from 'node:fs';
import {
  ANSWER_FRAME_BYTES,
  CONNECTION_UNSENT_BYTES_MAX,
  DAEMON_BYTES_MAX,
  type SizeLimits,
} from '../../../shared/limits.js';

const MIB = 1024 * 1024;

/** The present and the greatest resident memory of a process, in bytes; null where nobody tells. */
export function memoryOf(pid: number): { readonly now: number; readonly peak: number } | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const bytes = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
    return { now: bytes('VmRSS'), peak: bytes('VmHWM') };
  } catch {
    return null;
  }
}

/** What memory a daemon may take with so many connections, by `shared/limits.ts`. */
export function memoryBound(idleBytes: number, connections: number, limits: SizeLimits): number {
  const requests = DAEMON_BYTES_MAX;
  const answers = connections * (CONNECTION_UNSENT_BYTES_MAX + ANSWER_FRAME_BYTES);
  const commits = 4 * limits.commitBytesMax;
  return idleBytes + requests + answers + commits + 128 * MIB;
}
