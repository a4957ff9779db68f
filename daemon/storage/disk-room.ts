/**
 * The room of a file system.
 *
 * @module
 */
import { type StatsFs, statfsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';

/** The room of a file system, in bytes. */
export interface DiskRoom {
  readonly size: number;
  /** What a process without privileges may take of it. */
  readonly free: number;
}

/** The room of the file system that a folder is on. */
export async function diskRoomOf(folder: string): Promise<DiskRoom> {
  return roomOf(await statfs(folder));
}

/** The same for where nobody waits: worker threads, and the start. */
export function diskRoomOfSync(folder: string): DiskRoom {
  return roomOf(statfsSync(folder));
}

function roomOf({ blocks, bavail, bsize }: StatsFs): DiskRoom {
  return { size: blocks * bsize, free: bavail * bsize };
}
