/**
 * The catalog in memory: what is known of every stream that lives, and which of it no checkpoint
 * has made durable yet. Entries stay packed until somebody needs them.
 *
 * @module
 */
import {
  behindFrom,
  type CatalogEntry,
  type CatalogFrame,
  decodeEntry,
  encodeEntry,
  type PackedEntry,
} from './catalog-format.js';
import { type StreamName, streamKey } from './layout.js';

interface Known {
  readonly name: StreamName;
  readonly entry: Uint8Array;
}

/** What no checkpoint has made durable yet. */
export interface CatalogChanges {
  readonly entries: readonly PackedEntry[];
  readonly removed: readonly StreamName[];
}

/** All streams that live. */
export class Catalog {
  readonly #known: Map<string, Known> = new Map();
  #changed: Map<string, StreamName> = new Map();
  /** Streams whose last lines are committed but not in their files. */
  readonly #behind: Map<string, number> = new Map();

  get size(): number {
    return this.#known.size;
  }

  get(name: StreamName): CatalogEntry | null {
    const known = this.#known.get(streamKey(name));
    return known === undefined ? null : decodeEntry(known.entry);
  }

  /** The first position whose lines are still to be written to their files, or null. */
  get behindFrom(): number | null {
    return this.#behind.size === 0 ? null : Math.min(...this.#behind.values());
  }

  set(entry: CatalogEntry): void {
    const name = { journal: entry.journal, id: entry.id };
    const key = streamKey(name);
    this.#known.set(key, { name, entry: encodeEntry(entry) });
    this.#changed.set(key, name);
    this.#noteBehind(key, behindFrom(entry));
  }

  remove(name: StreamName): void {
    const key = streamKey(name);
    this.#behind.delete(key);
    if (this.#known.delete(key)) this.#changed.set(key, name);
  }

  /** Takes over a frame that was read from disk. */
  restore(frame: CatalogFrame): void {
    for (const name of frame.removed) this.#known.delete(streamKey(name));
    for (const [journal, id, entry, from] of frame.entries) {
      const name = { journal, id };
      this.#known.set(streamKey(name), { name, entry });
      this.#noteBehind(streamKey(name), from);
    }
  }

  /** What changed since the last call. */
  takeChanges(): CatalogChanges {
    const changed = [...this.#changed.values()];
    this.#changed = new Map();
    return {
      entries: changed.flatMap((name) => this.#packed(name)),
      removed: changed.filter((name) => !this.#known.has(streamKey(name))),
    };
  }

  /** Changes that could not be made durable after all. */
  giveBack(changes: CatalogChanges): void {
    const names = changes.entries.map(([journal, id]) => ({ journal, id }));
    for (const name of [...names, ...changes.removed]) this.#changed.set(streamKey(name), name);
  }

  #noteBehind(key: string, from: number | null): void {
    if (from === null) this.#behind.delete(key);
    else this.#behind.set(key, from);
  }

  /** All entries. */
  all(): PackedEntry[] {
    return [...this.#known.values()].flatMap(({ name }) => this.#packed(name));
  }

  #packed(name: StreamName): PackedEntry[] {
    const key = streamKey(name);
    const known = this.#known.get(key);
    return known === undefined
      ? []
      : [[name.journal, name.id, known.entry, this.#behind.get(key) ?? null]];
  }
}
