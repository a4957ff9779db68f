/**
 * Opens journal files for the appends that wait for them, a bounded number at a time.
 *
 * @module
 */
import type { FileTable } from './file-table.js';
import type { JournalFile } from './journal-file.js';
import { openFailure } from './open-failure.js';
import type { Stream } from './stream.js';

export interface FileOpenerOptions {
  readonly files: FileTable;
  readonly dirtyFilesMax: number;
  /** Waits for a checkpoint: too many files are dirty. */
  readonly checkpoint: () => Promise<unknown>;
  readonly release: (stream: Stream) => void;
  readonly reload: (stream: Stream) => void;
  /** A file is open, or cannot be: those who wait for it or for room look again. */
  readonly onDone: () => void;
}

/** The files that are being opened. */
export class FileOpener {
  readonly #options: FileOpenerOptions;
  readonly #paths: Set<string> = new Set();

  constructor(options: FileOpenerOptions) {
    this.#options = options;
  }

  /** Begins to open a file of a stream, unless that is under way or there is no room now. */
  open(stream: Stream, file: JournalFile): void {
    const { files, release, reload, onDone } = this.#options;
    if (this.#paths.has(file.path)) return;
    // The others have their turn when one of these is open: more would only close one another.
    if (this.#paths.size >= files.openingMax) return;
    this.#paths.add(file.path);
    stream.pins += 1;
    this.#open(stream, file)
      .catch((error: unknown) => {
        // A file that was there, and is not: another program removed it.
        if (file.identity !== null && (error as NodeJS.ErrnoException).code === 'ENOENT')
          reload(stream);
        else file.openError = openFailure(file.path, error);
      })
      .finally(() => {
        this.#paths.delete(file.path);
        release(stream);
        onDone();
      });
  }

  async #open(stream: Stream, file: JournalFile): Promise<void> {
    const { files, dirtyFilesMax, checkpoint } = this.#options;
    if (files.dirty.size >= dirtyFilesMax) await checkpoint();
    await files.openForAppend(file, stream.folders);
  }
}
