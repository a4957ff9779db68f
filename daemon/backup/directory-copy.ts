/**
 * A copy of a journal directory that is brought up to date as often as it is asked to, while the
 * directory is in use. Runs on a worker thread.
 *
 * @module
 */
import {
  chmodSync,
  ftruncateSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Catalog } from '../storage/catalog.js';
import { newestCatalog, readCatalog } from '../storage/catalog-file.js';
import { closeFile, openFile, syncFolder, syncPath } from '../storage/disk.js';
import {
  catalogNumber,
  catalogPath,
  type Layout,
  layoutOf,
  repairFolder,
} from '../storage/layout.js';
import { listJournals, namesIn } from '../verify/journal-listing.js';
import { during, FailureError } from '../workers/failure.js';
import { type Copied, copyFile } from './copy-file.js';
import { CopyRoom } from './copy-room.js';
import type { Meter } from './meter.js';

/** A segment of the commit log, and how far it holds frames. */
export interface LogExtent {
  readonly path: string;
  readonly bytes: number;
}

/** A file of the directory; only so many of its first bytes are copied. */
interface Original {
  readonly from: string;
  readonly bytesMax?: number;
}

/** A file of the copy, and the pass that last found its original. */
interface Held extends Copied {
  readonly inPass: number;
}

/**
 * The copy. A pass leaves it with what the directory held at some time during it, file by file;
 * that it is one state is for the caller to see to.
 */
export class DirectoryCopy {
  readonly #layout: Layout;
  readonly #copy: Layout;
  readonly #meter: Meter;
  readonly #room: CopyRoom;
  /** What there is of each file, by the path of its copy. */
  readonly #files: Map<string, Held> = new Map();
  #passes = 0;
  readonly #folders: Set<string> = new Set();
  /** Folders that a file was taken out of. */
  readonly #left: Set<string> = new Set();

  /** @param keptBytes the room that is left where the directory is on the same file system */
  constructor(layout: Layout, partial: string, meter: Meter, keptBytes: number) {
    this.#layout = layout;
    this.#copy = layoutOf(partial);
    this.#meter = meter;
    this.#room = new CopyRoom(partial, layout.dir, keptBytes);
    this.#folders.add(partial).add(this.#copy.control);
  }

  /**
   * Copies what is not in the copy yet, and takes out what is gone.
   *
   * @param log the segments; of each only what holds frames is copied
   * @param sync whether what is copied is to be durable at once
   * @returns the bytes that were copied
   */
  pass(log: readonly LogExtent[], sync: boolean): number {
    const before = this.#meter.progress.bytes;
    const listing = listJournals(this.#layout);
    if (this.#passes === 0) {
      const expected = log.reduce((sum, { bytes }) => sum + bytes, listing.bytes);
      this.#room.require(expected);
      this.#meter.expect(expected);
    }
    this.#passes += 1;
    for (const { folder, files } of listing.streams) {
      for (const { name } of files) this.#bring({ from: join(folder, name) }, sync);
    }
    for (const file of this.#control(log)) this.#bring(file, sync);
    for (const [to, { inPass }] of this.#files) {
      if (inPass < this.#passes && !this.#isCatalog(to)) this.#drop(to);
    }
    return this.#meter.progress.bytes - before;
  }

  /** What all files of the copy hold. */
  get bytes(): number {
    let bytes = 0;
    for (const { size } of this.#files.values()) bytes += size;
    return bytes;
  }

  /** Copies the catalog as it is now. */
  catalog(): void {
    const from = catalogPath(this.#layout, newestCatalog(this.#layout) ?? 0);
    const bytes = during('read', from, () => statSync(from).size);
    this.#meter.expect(bytes);
    if (this.#bring({ from, bytesMax: bytes }, false)) return;
    const message = 'the catalog is gone';
    throw new FailureError({ phase: 'read', code: 'ENOENT', path: from, message });
  }

  /** Takes out what lies at or behind a place of a journal file. */
  cut(path: string, at: number): void {
    const to = this.#placeOf(path);
    const copied = this.#files.get(to);
    if (copied === undefined || copied.size <= at) return;
    if (at === 0) return this.#drop(to);
    const fd = openFile(to, 'write');
    try {
      during('write', to, () => ftruncateSync(fd, at));
    } finally {
      closeFile(fd);
    }
    this.#files.set(to, { ...copied, size: at, isSynced: false });
  }

  /**
   * Takes out what holds nothing and that nobody knows: files which an append was about to begin,
   * and folders whose files are gone.
   */
  tidy(): void {
    const streams = listJournals(this.#copy).streams;
    const empty = streams.filter(({ files }) => files.some(({ size }) => size === 0));
    const catalog = empty.length === 0 ? null : this.#readCatalog();
    for (const { name, folder, files } of empty) {
      if (catalog?.get(name) !== null) continue;
      for (const file of files) if (file.size === 0) this.#drop(join(folder, file.name));
    }
    for (const folder of this.#left) {
      for (let at = folder; at.startsWith(`${this.#copy.threads}/`); at = dirname(at)) {
        if (readdirSync(at).length > 0) break;
        during('write', at, () => rmdirSync(at));
        this.#folders.delete(at);
      }
    }
  }

  /** Makes all of it durable. */
  sync(): void {
    for (const [path, { isSynced }] of this.#files) {
      this.#meter.check();
      if (!isSynced) syncPath(path);
    }
    const innermostFirst = [...this.#folders].sort((a, b) => b.length - a.length);
    for (const folder of innermostFirst) syncFolder(folder);
  }

  /** What lies under the daemon's own folder, without what is a running daemon's alone. */
  #control(log: readonly LogExtent[]): Original[] {
    const { format, quarantine } = this.#layout;
    const whole = [format, ...filesIn(quarantine), ...filesIn(repairFolder(this.#layout).folder)];
    const segments = log.map(({ path, bytes }) => ({ from: path, bytesMax: bytes }));
    return [...whole.map((from) => ({ from })), ...segments];
  }

  /** Whether the copy has the file; the directory may have lost it meanwhile. */
  #bring({ from, bytesMax = Number.POSITIVE_INFINITY }: Original, sync: boolean): boolean {
    this.#meter.check();
    this.#makeFolders(dirname(from));
    const to = this.#placeOf(from);
    const known = this.#files.get(to);
    const pace = { meter: this.#meter, room: this.#room };
    const copied = copyFile({ from, to, bytesMax, known, sync }, pace);
    if (copied === null) {
      this.#left.add(dirname(to));
      return false;
    }
    if (known === undefined) this.#meter.counted(1);
    this.#files.set(to, { ...copied, inPass: this.#passes });
    return true;
  }

  #readCatalog(): Catalog {
    const catalog = new Catalog();
    const read = readCatalog(this.#copy);
    if (read.kind === 'read') for (const { content } of read.frames) catalog.restore(content);
    return catalog;
  }

  #drop(path: string): void {
    during('write', path, () => unlinkSync(path));
    this.#left.add(dirname(path));
    this.#files.delete(path);
    this.#meter.counted(-1);
  }

  /** The folders of a file, with the modes of those that they are copies of. */
  #makeFolders(folder: string): void {
    const to = this.#placeOf(folder);
    if (this.#folders.has(to)) return;
    this.#makeFolders(dirname(folder));
    const mode = (statSync(folder, { throwIfNoEntry: false })?.mode ?? 0o700) & 0o777;
    during('write', to, () => {
      mkdirSync(to, { mode: 0o700 });
      chmodSync(to, mode);
    });
    this.#folders.add(to);
  }

  #placeOf(path: string): string {
    return join(this.#copy.dir, path.slice(this.#layout.dir.length));
  }

  #isCatalog(path: string): boolean {
    return dirname(path) === this.#copy.control && catalogNumber(basename(path)) !== null;
  }
}

/** The files of a folder, but those that a crash left half made. */
function filesIn(folder: string): string[] {
  const names = namesIn(folder).filter((name) => !name.endsWith('.tmp'));
  return names.map((name) => join(folder, name));
}
