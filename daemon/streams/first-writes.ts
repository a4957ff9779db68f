/**
 * Where the first of what the daemon wrote to each journal file since a moment lies: what is
 * before it in the file was there already, or is another program's.
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
    if (this.#places === null) return;
    const at = written.ok ? written.at : written.size;
    // A file that another program removed begins anew, before what was written to the one before.
    this.#places.set(path, Math.min(at, this.#places.get(path) ?? at));
  }
}
