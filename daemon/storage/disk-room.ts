/**
 * The room of a file system.
 *
 * @module
 */
import { statfs } from 'node:fs/promises';

/** The room of a file system, in bytes. */
export interface DiskRoom {
  readonly size: number;
  /** What a process without privileges may take of it. */
  readonly free: number;
}

/** The room of the file system that a folder is on. */
export async function diskRoomOf(folder: string): Promise<DiskRoom> {
  const { blocks, bavail, bsize } = await statfs(folder);
  return { size: blocks * bsize, free: bavail * bsize };
}
