/**
 * The one owner of descriptors of journal files. Only it opens files for writing.
 *
 * A dirty file keeps the descriptor that wrote it until a checkpoint has synced it: the kernel
 * reports a failed write-back to that descriptor alone. Clean files are closed, least recently
 * used first, but never while somebody reads.
 *
 * @module
 */
import {
  closeSync,
  constants,
  fstatSync,
  open as openCallback,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { LRUCache } from 'lru-cache';
import { InvalidIdError } from '../../shared/errors.js';
import type { Modes } from '../storage/disk.js';
import { FirstWrites } from './first-writes.js';
import type { JournalFile } from './journal-file.js';

const open = promisify(openCallback);
const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR } = constants;

/** The descriptors of all journal files. */
export class FileTable {
  readonly firstWrites: FirstWrites = new FirstWrites();
  /** Whether they are copied for a backup: what would move or replace any of them waits. */
  areHeld = false;
  readonly #modes: Modes;
  readonly #idle: LRUCache<JournalFile, true>;
  readonly #dirty: Set<JournalFile> = new Set();
  /** Clean files that an append is about to write: they stay open until it does, or is refused. */
  readonly #held: Set<JournalFile> = new Set();
  readonly #dirtyFolders: Set<string> = new Set();
  /** Reads and checkpoints under way, by descriptor. */
  readonly #users: Map<number, number> = new Map();
  /** Reads that opened their file themselves, and those that wait to. */
  #reading = 0;
  readonly #readersWaiting: (() => void)[] = [];
  /** Descriptors that their last user closes. */
  readonly #leaving: Set<number> = new Set();
  #dirtySinceMs = 0;

  /** How many files may be opened at once without closing one another. */
  readonly openingMax: number;

  /** @param idleMax clean files that are kept open */
  constructor(modes: Modes, idleMax: number) {
    this.#modes = modes;
    this.openingMax = Math.ceil(idleMax / 2);
    this.#idle = new LRUCache({
      max: idleMax,
      dispose: (_, file, reason) => {
        if (reason === 'evict') this.#close(file);
      },
    });
  }

  get dirty(): ReadonlySet<JournalFile> {
    return this.#dirty;
  }

  /** The folders in which something was created since the last call; the caller syncs them. */
  takeDirtyFolders(): string[] {
    const folders = [...this.#dirtyFolders];
    this.#dirtyFolders.clear();
    return folders;
  }

  /** Folders that could not be synced after all. */
  giveBackFolders(folders: readonly string[]): void {
    for (const folder of folders) this.#dirtyFolders.add(folder);
  }

  /** When the first write was that no checkpoint has synced, in milliseconds since 1970. */
  get dirtySinceMs(): number {
    return this.#dirtySinceMs;
  }

  /**
   * Opens a file for appending, creating it and its folders where they are absent. A file that
   * was met before is not created again: another program removed it.
   *
   * @param folders the folders that may be absent, outermost first
   */
  async openForAppend(file: JournalFile, folders: readonly string[]): Promise<void> {
    const flags = O_RDWR | O_APPEND | O_NOFOLLOW;
    const isKnown = file.identity !== null;
    const fd = isKnown ? await open(file.path, flags) : await this.#openNew(file, folders, flags);
    const { dev, ino, size } = fstatSync(fd);
    file.identity ??= { dev, ino };
    if (file.created) {
      file.size = size;
      this.#dirtyFolders.add(dirname(file.path));
    }
    file.fd = fd;
    this.#idle.set(file, true);
  }

  /** Opens a file that was not met before. */
  async #openNew(file: JournalFile, folders: readonly string[], flags: number): Promise<number> {
    const created: string[] = [];
    for (const folder of folders) {
      if (!(await this.#makeFolder(folder))) continue;
      created.push(folder);
      this.#dirtyFolders.add(dirname(folder));
    }
    try {
      const fd = await open(file.path, flags | O_CREAT | O_EXCL, this.#modes.file);
      file.created = true;
      file.createdFolders = created;
      return fd;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      await this.#checkSpelling(file);
      return await open(file.path, flags);
    }
  }

  /** Takes an open file out of reach of eviction for an append that is to come. */
  hold(file: JournalFile): void {
    if (file.fd === null || this.#dirty.has(file)) return;
    this.#idle.delete(file);
    this.#held.add(file);
  }

  /** The append is refused, or will not come. */
  letGo(file: JournalFile): void {
    if (this.#held.delete(file)) this.#idle.set(file, true);
  }

  /** A file is about to be written: it stays open until a checkpoint has synced it. */
  markDirty(file: JournalFile, nowMs: number): void {
    if (this.#dirty.size === 0) this.#dirtySinceMs = nowMs;
    this.#idle.delete(file);
    this.#held.delete(file);
    this.#dirty.add(file);
    file.dirty = true;
    file.writes += 1;
    file.created = false;
    file.createdFolders = [];
  }

  /** A checkpoint has synced these files as they were at these counts of writes. */
  synced(
    files: readonly { readonly file: JournalFile; readonly writes: number }[],
    nowMs: number,
  ): void {
    for (const { file, writes } of files) {
      if (file.writes !== writes) continue;
      file.dirty = false;
      this.#dirty.delete(file);
      if (file.fd !== null) this.#idle.set(file, true);
    }
    this.#dirtySinceMs = nowMs;
  }

  /** Removes a file that was created for an append which was refused. */
  discard(file: JournalFile): void {
    this.letGo(file);
    if (!file.created || file.fd === null || file.size > 0) return;
    this.forget(file);
    unlinkSync(file.path);
    for (const folder of [...file.createdFolders].reverse()) {
      try {
        rmdirSync(folder);
      } catch {
        // Another append needs the folder meanwhile.
        break;
      }
    }
    file.created = false;
    file.createdFolders = [];
    file.identity = null;
  }

  /** Closes a file that was deleted or is no longer known. */
  forget(file: JournalFile): void {
    this.#idle.delete(file);
    this.#held.delete(file);
    this.#dirty.delete(file);
    this.#close(file);
  }

  /** Runs a step with a descriptor that can be read; it is not closed meanwhile. */
  async reading<T>(file: JournalFile, step: (fd: number) => Promise<T>): Promise<T> {
    if (file.fd === null) return await this.#readingClosed(file, step);
    this.#idle.get(file);
    const { fd } = file;
    const letGo = this.keepOpen([fd]);
    try {
      return await step(fd);
    } finally {
      letGo();
    }
  }

  /**
   * Keeps descriptors open for another thread, also while their files are deleted: a number that
   * was closed may be that of something else at once. The result lets them go.
   */
  keepOpen(fds: readonly number[]): () => void {
    for (const fd of fds) this.#users.set(fd, (this.#users.get(fd) ?? 0) + 1);
    return () => {
      for (const fd of fds) this.#letGoOf(fd);
    };
  }

  /** Opens a file for one read; so many at a time as are opened for appending. */
  async #readingClosed<T>(file: JournalFile, step: (fd: number) => Promise<T>): Promise<T> {
    if (this.#reading < this.openingMax) this.#reading += 1;
    else await new Promise<void>((resolve) => this.#readersWaiting.push(resolve));
    try {
      const fd = await open(file.path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
      try {
        refuseOther(file, fd);
        return await step(fd);
      } finally {
        closeSync(fd);
      }
    } finally {
      const next = this.#readersWaiting.shift();
      if (next === undefined) this.#reading -= 1;
      else next();
    }
  }

  /** Closes everything. */
  close(): void {
    for (const file of [...this.#dirty, ...this.#held, ...this.#idle.keys()]) this.#close(file);
    this.#dirty.clear();
    this.#held.clear();
    this.#idle.clear();
  }

  #close(file: JournalFile): void {
    const { fd } = file;
    file.fd = null;
    if (fd === null) return;
    if (this.#users.has(fd)) this.#leaving.add(fd);
    else closeSync(fd);
  }

  #letGoOf(fd: number): void {
    const left = (this.#users.get(fd) ?? 1) - 1;
    if (left > 0) {
      this.#users.set(fd, left);
      return;
    }
    this.#users.delete(fd);
    if (this.#leaving.delete(fd)) closeSync(fd);
  }

  /** On a file system that folds case, a file that exists may be that of another id. */
  async #checkSpelling(file: JournalFile): Promise<void> {
    if ((await readdir(dirname(file.path))).includes(file.name)) return;
    throw new InvalidIdError(
      `${file.name} exists with other upper and lower case, and this file system folds them`,
    );
  }

  async #makeFolder(folder: string): Promise<boolean> {
    try {
      await mkdir(folder, { mode: this.#modes.folder });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
  }
}

/** Under the name of a file that was replaced, what is asked for would be other bytes. */
function refuseOther({ identity, name }: JournalFile, fd: number): void {
  if (identity === null) return;
  const { dev, ino } = fstatSync(fd);
  if (dev !== identity.dev || ino !== identity.ino) throw new Error(`${name} was replaced`);
}
