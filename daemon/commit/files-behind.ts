/**
 * Journal files whose last lines are committed but had no room in them. The lines are served
 * from memory and follow, each file in order, when there is room.
 *
 * @module
 */
import type { FileTable } from '../streams/file-table.js';
import type { JournalFile, LinesBehind, OwnLine } from '../streams/journal-file.js';
import type { Stream } from '../streams/stream.js';
import type { CommitResult, CommitTask } from '../workers/commit-task.js';
import { type Failure, failureOf, isNoRoom } from '../workers/failure.js';
import type { Lane } from './lanes.js';
import type { StreamSource } from './stream-source.js';

/** The files that are behind the commit log. */
export class FilesBehind {
  readonly #files: FileTable;
  readonly #streams: StreamSource;
  readonly #behind: Map<JournalFile, Stream> = new Map();

  constructor(files: FileTable, streams: StreamSource) {
    this.#files = files;
    this.#streams = streams;
  }

  get size(): number {
    this.#dropDeleted();
    return this.#behind.size;
  }

  add(stream: Stream, file: JournalFile): void {
    this.#behind.set(file, stream);
  }

  describe(): string {
    const [first] = this.#behind.keys();
    return `${this.#behind.size} journal file(s) have no room, such as ${first?.path ?? ''}`;
  }

  /** Writes what waits, as far as there is room; returns a failure that is no lack of room. */
  async retry(lane: Lane<CommitTask, CommitResult>): Promise<Failure | null> {
    this.#dropDeleted();
    for (const [file, stream] of this.#behind) {
      const failure = await this.#writeOne(lane, stream, file);
      if (failure !== null) return isNoRoom(failure) ? null : failure;
    }
    return null;
  }

  async #writeOne(
    lane: Lane<CommitTask, CommitResult>,
    stream: Stream,
    file: JournalFile,
  ): Promise<Failure | null> {
    const behind = file.behind as LinesBehind;
    try {
      if (file.fd === null) await this.#files.openForAppend(file, stream.folders);
    } catch (error) {
      return failureOf(error, 'open', file.path);
    }
    this.#files.markDirty(file, Date.now());
    const write = {
      fd: file.fd as number,
      path: file.path,
      expectedSize: file.size,
      needsLf: file.needsLf,
      bytes: behind.bytes,
    };
    const result = await lane.run({ kind: 'write', files: [write] });
    const written = result.kind === 'write' ? result.files[0] : undefined;
    if (written === undefined) throw new Error('the commit lane answered another task');
    this.#files.firstWrites.note(file.path, written);
    if (!written.ok) return written.failure;
    this.#behind.delete(file);
    file.behind = null;
    const { at, bytes, lines } = behind;
    if (written.at !== at) stream.index.shift(file.number, at, written.at - at);
    if (written.foreign || !file.isAccounted) {
      file.extendApart(written.at, lines);
      this.#streams.adopt(stream);
    } else {
      const lastLine = lines.at(-1) as OwnLine;
      file.extend({ at: written.at, length: bytes.length, lineCount: lines.length, lastLine });
    }
    this.#streams.changed(stream);
    return null;
  }

  /** A deleted stream's lines are not awaited any more. */
  #dropDeleted(): void {
    for (const file of this.#behind.keys()) if (file.behind === null) this.#behind.delete(file);
  }
}
