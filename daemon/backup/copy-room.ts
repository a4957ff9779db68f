/**
 * The room that a backup may take: on the journals' own file system it leaves alone what appends
 * need, so that it fails before they do. Runs on a worker thread.
 *
 * @module
 */
import { statSync } from 'node:fs';
import { diskRoomOfSync } from '../storage/disk-room.js';
import { during, FailureError } from '../workers/failure.js';

/** The room at the place of a copy. */
export class CopyRoom {
  readonly #folder: string;
  readonly #keptBytes: number;

  /**
   * @param folder the copy
   * @param dir the journal directory
   * @param keptBytes the room that is left on the directory's file system
   */
  constructor(folder: string, dir: string, keptBytes: number) {
    this.#folder = folder;
    const isShared = during('read', folder, () => statSync(folder).dev === statSync(dir).dev);
    this.#keptBytes = isShared ? keptBytes : 0;
  }

  /** @throws FailureError when there is no room for so many more bytes */
  require(bytes: number): void {
    const path = this.#folder;
    const { size, free } = during('read', path, () => diskRoomOfSync(path));
    // Some file systems do not tell how large they are.
    if (size === 0 || free >= bytes + this.#keptBytes) return;
    const kept = this.#keptBytes > 0 ? `, of which ${this.#keptBytes} are kept for appends` : '';
    const message = `${bytes} bytes more are needed, ${free} are free${kept}`;
    throw new FailureError({ phase: 'write', code: 'ENOSPC', path, message });
  }
}
