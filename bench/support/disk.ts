/** The disk as it is, and as slow as most people's. */
import { FaultShim } from '../../test/support/fault-shim/fault-shim.js';

const SLOW_SYNC_MS = 2;

/** How a process meets the disk. */
export interface Disk {
  /** Distinguishes names of comparisons; empty for the disk as it is. */
  readonly suffix: '' | '-slow-disk';
  /** What titles say of it. */
  readonly title: string;
  /** Environment of a process whose fsyncs are to go to this disk. */
  readonly environment: Readonly<Record<string, string>>;
}

export const DISK_AS_IT_IS: Disk = { suffix: '', title: '', environment: {} };

/** The same disk with each fsync 2 ms longer, or why there is none. */
export async function slowDisk(folder: string): Promise<Disk | { readonly missing: string }> {
  const missing = FaultShim.absence();
  if (missing !== null) return { missing };
  const shim = await FaultShim.make(folder);
  shim.set([
    { calls: ['fsync', 'fdatasync'], paths: ['*'], effect: { kind: 'delay', ms: SLOW_SYNC_MS } },
  ]);
  shim.close();
  return {
    suffix: '-slow-disk',
    title: `, fsync + ${SLOW_SYNC_MS} ms`,
    environment: shim.env,
  };
}
