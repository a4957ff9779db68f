/**
 * Watches the files of open streams for other programs' changes. What it is told is a hint only:
 * whether something changed, and what, is decided by comparing size and identity.
 *
 * Files are polled (inotify would wake for each of our own writes) by chokidar. It is never asked
 * to unwatch: each path that was given up makes the next one dearer, so files that are no longer
 * wanted stay until a fresh watcher takes over the others. And it is given no folder: it would
 * read all of `_turn_journal` whenever a session begins. So the few paths at which something is
 * yet to appear, and the folders of threads, are polled without it.
 *
 * @module
 */
import { type Stats, unwatchFile, watchFile } from 'node:fs';
import { join } from 'node:path';
import { type FSWatcher, watch } from 'chokidar';
import { WATCH_INTERVAL_MS } from '../../shared/limits.js';
import { journalFileName } from '../storage/layout.js';
import type { JournalFile } from '../streams/journal-file.js';
import type { Stream } from '../streams/stream.js';
import { classifyFile } from './change-table.js';

/** How often a path is looked at here when its polling begins. */
const FIRST_LOOKS = 4;
/** Files that nobody wants any more are polled until there are this many of them. */
const UNWANTED_MAX = 1_024;

export interface WatcherOptions {
  /** Open streams, the first to be watched first. */
  readonly inUse: () => Iterable<Stream>;
  /** These files of a stream, or its folder, may have been changed by another program. */
  readonly suspect: (stream: Stream, files: readonly JournalFile[]) => void;
  readonly pathsMax: number;
  readonly onProblem: (error: unknown) => void;
}

interface Watched {
  readonly stream: Stream;
  readonly file: JournalFile;
}

/** Watches the files of open streams, from `start` to `close`. */
export class Watcher {
  readonly #options: WatcherOptions;
  #files: ReadonlyMap<string, Watched> = new Map();
  #chokidar: FSWatcher | null = null;
  /** What chokidar was given to poll … */
  #given: Set<string> = new Set();
  /** … and what of it was not there yet, or not looked at. */
  #unseen: Set<string> = new Set();
  /** What is polled without it. */
  #polled: ReadonlyMap<string, Stream> = new Map();
  /**
   * What may have changed before those who poll it had looked at it for the first time, which they
   * tell nobody: it is looked at here, so many more times.
   */
  readonly #unsure: Map<string, number> = new Map();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: WatcherOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timer = setInterval(() => this.#follow(), WATCH_INTERVAL_MS).unref();
  }

  async close(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#poll(new Map());
    await this.#chokidar?.close();
    this.#chokidar = null;
  }

  /** Brings what is watched up to date with what is open. */
  #follow(): void {
    const files = new Map<string, Watched>();
    const polled = new Map<string, Stream>();
    for (const stream of this.#options.inUse()) {
      if (files.size + polled.size >= this.#options.pathsMax) break;
      if (stream.state.kind !== 'ready') continue;
      for (const file of stream.files) {
        if (file.size > 0 || file.scanned > 0) files.set(file.path, { stream, file });
      }
      const { journal, id } = stream.name;
      const exists = stream.generation !== 0;
      if (!exists && stream.pins === 0) continue;
      if (journal === 'runs') polled.set(stream.folder, stream);
      else if (!exists) polled.set(join(stream.folder, journalFileName(id)), stream);
    }
    this.#files = files;
    this.#poll(polled);
    if (this.#given.size > 2 * files.size + UNWANTED_MAX) this.#beginAnew();
    this.#lookAtUnsure();
    const more = [...files.keys()].filter((path) => !this.#given.has(path));
    if (more.length === 0) return;
    for (const path of more) {
      this.#given.add(path);
      this.#unseen.add(path);
    }
    this.#chokidar ??= this.#open();
    this.#chokidar.add(more);
  }

  #lookAtUnsure(): void {
    for (const path of this.#unseen) {
      // It may be gone since, and chokidar forgets what it never saw.
      this.#given.delete(path);
      this.#unsure.set(path, FIRST_LOOKS);
    }
    this.#unseen.clear();
    const suspects = new Map<Stream, JournalFile[]>();
    for (const [path, looks] of this.#unsure) {
      if (looks > 1) this.#unsure.set(path, looks - 1);
      else this.#unsure.delete(path);
      const watched = this.#files.get(path);
      const stream = watched?.stream ?? this.#polled.get(path);
      if (stream === undefined) continue;
      const files = suspects.get(stream) ?? [];
      suspects.set(stream, files);
      if (watched !== undefined) files.push(watched.file);
    }
    for (const [stream, files] of suspects) this.#options.suspect(stream, files);
  }

  #poll(wanted: ReadonlyMap<string, Stream>): void {
    for (const path of this.#polled.keys()) if (!wanted.has(path)) unwatchFile(path);
    const suspect = (path: string): void => {
      const stream = this.#polled.get(path);
      if (stream !== undefined) this.#options.suspect(stream, []);
    };
    const options = { interval: WATCH_INTERVAL_MS, persistent: false };
    const more = [...wanted.keys()].filter((path) => !this.#polled.has(path));
    for (const path of more) {
      watchFile(path, options, () => suspect(path));
      this.#unsure.set(path, FIRST_LOOKS);
    }
    this.#polled = wanted;
  }

  #open(): FSWatcher {
    return watch([], {
      usePolling: true,
      interval: WATCH_INTERVAL_MS,
      binaryInterval: WATCH_INTERVAL_MS,
      persistent: false,
      // What changed before the first look at a file shows in its being added.
      ignoreInitial: false,
      atomic: false,
      alwaysStat: true,
      followSymlinks: false,
      ignored: (_path, stats) => stats !== undefined && !stats.isFile(),
    })
      .on('all', (event, path, stats) => this.#hint(event, path, stats))
      .on('error', this.#options.onProblem);
  }

  #beginAnew(): void {
    this.#chokidar?.close().catch(this.#options.onProblem);
    this.#chokidar = null;
    this.#given = new Set();
    this.#unseen = new Set();
  }

  #hint(event: string, path: string, stats: Stats | undefined): void {
    this.#unseen.delete(path);
    // It is watched again if it is there again.
    if (event === 'unlink') this.#given.delete(path);
    else this.#given.add(path);
    if (event === 'add') this.#unsure.set(path, FIRST_LOOKS);
    const watched = this.#files.get(path);
    if (watched === undefined) return;
    const { stream, file } = watched;
    // Our own writes end here.
    const isKnown = stats !== undefined && classifyFile(file, stats).action === 'none';
    if (!isKnown) this.#options.suspect(stream, [file]);
  }
}
