/**
 * Where the daemon first wrote to each journal file since a moment: what lies before it in the
 * file was there already, or is another program's.
 *
 * @module
 */
import type { FileWritten } from '../workers/commit-task.js';

/** Notes first writes while somebody asks for them. */
export class FirstWrites {
  #places: Map<string, number> | null = null;

  /** From here on writes that come to an end are noted. */
  begin(): void {
    this.#places = new Map();
  }

  /** Ends it; the offsets by path. */
  end(): ReadonlyMap<string, number> {
    const places = this.#places ?? new Map<string, number>();
    this.#places = null;
    return places;
  }

  /** A write came to an end; of one that failed a part may have been in the file. */
  note(path: string, written: FileWritten): void {
    if (this.#places === null || this.#places.has(path)) return;
    this.#places.set(path, written.ok ? written.at : written.size);
  }
}
