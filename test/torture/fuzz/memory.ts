/** The memory of a daemon under fire, beside what its limits allow. */
import { readFileSync } from 'node:fs';
import {
  ANSWER_FRAME_BYTES,
  CONNECTION_READS_MAX,
  CONNECTION_UNREAD_BYTES_MAX,
  DAEMON_BYTES_MAX,
  DAEMON_GATHERED_BYTES_MAX,
  FILTERS_LENGTH_MAX,
  OPEN_STREAMS_MAX,
  type SizeLimits,
} from '../../../shared/limits.js';

/** Of a batch: its payload, its frame, its lines, and the texts that it was made of. */
const BATCH_COPIES = 4;

/** An open stream with few events; what `docs/operations.md` says of sizing. */
const OPEN_STREAM_BYTES = 8 * 1024;

/** The present and the greatest resident memory of a process, in bytes; null where nobody tells. */
export function memoryOf(pid: number): { readonly now: number; readonly peak: number } | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const bytes = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024;
    const memory = { now: bytes('VmRSS'), peak: bytes('VmHWM') };
    // A process that has just ended has a status, and no memory.
    return Number.isNaN(memory.peak) ? null : memory;
  } catch {
    return null;
  }
}

/**
 * What memory a daemon may take with so many connections, by `shared/limits.ts`.
 *
 * @param of.idleBytes what it takes before any of them
 */
export function memoryBound(of: {
  readonly idleBytes: number;
  readonly connections: number;
  readonly limits: SizeLimits;
}): number {
  const { idleBytes, connections, limits } = of;
  const requests = DAEMON_BYTES_MAX + DAEMON_GATHERED_BYTES_MAX;
  const answers = CONNECTION_UNREAD_BYTES_MAX + CONNECTION_READS_MAX * ANSWER_FRAME_BYTES;
  const commits = BATCH_COPIES * limits.commitBytesMax;
  const streams = OPEN_STREAMS_MAX * OPEN_STREAM_BYTES;
  const filters = 2 * FILTERS_LENGTH_MAX;
  return idleBytes + requests + connections * answers + commits + streams + filters;
}
