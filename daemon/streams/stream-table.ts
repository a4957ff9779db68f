/**
 * The table of open streams: loads a stream when it is first touched, keeps the recently used,
 * and carries out what the committer asks of streams and their files.
 *
 * @module
 */
import { LRUCache } from 'lru-cache';
import { StorageFailedError } from '../../shared/errors.js';
import { INDEX_BYTES_MAX, OPEN_STREAMS_MAX, READ_REPEATS_MAX } from '../../shared/limits.js';
import type { Committer } from '../commit/committer.js';
import type { Lane } from '../commit/lanes.js';
import type { Operation } from '../commit/operations.js';
import type { StreamDeletion, StreamSource } from '../commit/stream-source.js';
import {
  foldersLeft,
  type Layout,
  type StreamName,
  streamFolders,
  streamKey,
  trashPaths,
} from '../storage/layout.js';
import type { CommitResult, CommitTask } from '../workers/commit-task.js';
import type { Failure } from '../workers/failure.js';
import { FileOpener } from './file-opener.js';
import { lookAt } from './freshness.js';
import { Growth, isOpenForAdoption } from './growth.js';
import type { JournalFile } from './journal-file.js';
import { readLine } from './line-reader.js';
import { Loader, type LoaderOptions } from './loader.js';
import { Stream } from './stream.js';
import type { StreamIndex } from './stream-index.js';

export interface StreamTableOptions extends LoaderOptions {
  readonly layout: Layout;
  readonly commitLane: Lane<CommitTask, CommitResult>;
  readonly commitBytesMax: number;
  readonly dirtyFilesMax: number;
  readonly onTrash: (position: number, path: string) => void;
  /** Waits for a checkpoint: too many files are dirty. */
  readonly checkpoint: () => Promise<unknown>;
}

/** The open streams. */
export class StreamTable implements StreamSource {
  readonly #options: StreamTableOptions;
  /** Streams that somebody uses or waits for. */
  readonly #active: Map<string, Stream> = new Map();
  readonly #idle: LRUCache<string, Stream>;
  readonly #waiting: Map<Stream, (() => void)[]> = new Map();
  /** Streams whose catalog entry is older than they are. */
  readonly #changed: Set<Stream> = new Set();
  #committer: Committer | null = null;
  readonly #loader: Loader;
  readonly #growth: Growth;
  readonly #opener: FileOpener;

  constructor(options: StreamTableOptions) {
    this.#options = options;
    const enqueue = (operation: Operation): void => this.#committer?.enqueue(operation);
    this.#loader = new Loader(options, { enqueue, changed: (stream) => this.changed(stream) });
    this.#growth = new Growth({
      ...options,
      enqueue,
      hold: (stream) => {
        if (this.peek(stream.name) === stream) this.hold(stream.name);
        else stream.pins += 1;
      },
      release: (stream) => this.release(stream),
      reload: (stream) => this.reload(stream),
      onPass: () => this.#committer?.kick(),
    });
    this.#opener = new FileOpener({
      ...options,
      release: (stream) => this.release(stream),
      reload: (stream) => this.reload(stream),
      onDone: () => this.#committer?.kick(),
    });
    this.#idle = new LRUCache<string, Stream>({
      max: OPEN_STREAMS_MAX,
      maxSize: INDEX_BYTES_MAX,
      sizeCalculation: (stream) => stream.bytes,
      dispose: (stream, _key, reason) => {
        if (reason === 'evict') this.#drop(stream);
      },
    });
  }

  /** Table and committer need each other; the table is there first. */
  attach(committer: Committer): void {
    this.#committer = committer;
  }

  /** The fsyncs that made foreign content durable, and how often streams were read, and read anew. */
  get counts(): Loader['counts'] {
    return this.#loader.counts;
  }

  get openStreams(): number {
    return this.#active.size + this.#idle.size;
  }

  /** The stream if it is open, without touching it. */
  peek(name: StreamName): Stream | undefined {
    const key = streamKey(name);
    return this.#active.get(key) ?? this.#idle.peek(key);
  }

  /**
   * The stream, held open until `release`. It may still be loading: what needs it waits for its
   * turn in the committer, or for `ready`.
   */
  hold(name: StreamName): Stream {
    const key = streamKey(name);
    let stream = this.#active.get(key) ?? this.#idle.get(key);
    if (stream === undefined) {
      stream = new Stream(name, streamFolders(this.#options.layout, name));
      this.#load(stream);
    } else if (stream.state.kind === 'failed') this.#load(stream);
    this.#idle.delete(key);
    this.#active.set(key, stream);
    stream.pins += 1;
    return stream;
  }

  /** Ends what `hold` began. */
  release(stream: Stream): void {
    stream.pins -= 1;
    if (stream.pins > 0 || this.peek(stream.name) !== stream) return;
    // Only a stream that is open knows which lines behind its files' marks are ours.
    if (stream.files.some(({ unmarkedFrom }) => unmarkedFrom !== null)) return;
    if (stream.state.kind === 'ready') {
      this.#active.delete(stream.key);
      this.#idle.set(stream.key, stream);
    } else if (stream.state.kind === 'failed') {
      this.#active.delete(stream.key);
      this.#idle.delete(stream.key);
      this.#drop(stream);
    }
  }

  /**
   * Waits until a held stream can be read.
   *
   * @throws EventLogError when it cannot be loaded
   */
  async ready(stream: Stream): Promise<void> {
    while (stream.state.kind !== 'ready' || stream.reloadsNext) {
      if (stream.state.kind === 'failed') throw stream.state.error;
      await new Promise<void>((resolve) => {
        const waiting = this.#waiting.get(stream);
        if (waiting === undefined) this.#waiting.set(stream, [resolve]);
        else waiting.push(resolve);
      });
    }
  }

  /** As `ready`, and makes sure that what was read from the files is still what they hold. */
  async fresh(stream: Stream): Promise<void> {
    await this.ready(stream);
    const { action } = lookAt(stream);
    if (action === 'none' || !isOpenForAdoption(stream)) return;
    if (action === 'adopt') await this.#growth.adopt(stream);
    else this.reload(stream);
    await this.ready(stream);
  }

  adopt(stream: Stream): number {
    const number = this.#growth.next(stream);
    void this.#growth.adopt(stream);
    return number;
  }

  /** These files of an open stream, or its folder, may have been changed by another program. */
  suspect(stream: Stream, files: readonly JournalFile[]): void {
    stream.suspect(files);
    if (stream.state.kind === 'failed') this.#load(stream);
    this.#lookAgain(stream);
  }

  /** Looks at a stream that was seen to change, as soon as it can be looked at. */
  #lookAgain(stream: Stream): void {
    if (!stream.isSuspect || !isOpenForAdoption(stream)) return;
    const { action } = lookAt(stream);
    if (action === 'adopt') void this.#growth.adopt(stream);
    else if (action === 'reload') this.reload(stream);
  }

  /** Open streams, those that somebody holds first, then the most recently used. */
  *inUse(): Generator<Stream> {
    yield* this.#active.values();
    yield* this.#idle.values();
  }

  /**
   * Runs a step with a stream that is open and as its files are; anew where the stream was deleted
   * or changed by another program under it.
   *
   * @param onRepeat told before each step but the first
   */
  async read<T>(
    name: StreamName,
    step: (stream: Stream) => Promise<T>,
    onRepeat: () => void = () => undefined,
  ): Promise<T> {
    // What made a load fail that began before this call may have been mended before it, too.
    if (this.peek(name)?.state.kind === 'loading') {
      const joined = this.hold(name);
      await this.ready(joined).catch(() => undefined);
      this.release(joined);
    }
    const stream = this.hold(name);
    try {
      await this.fresh(stream);
      for (let repeats = 0; ; repeats += 1) {
        const { index } = stream;
        try {
          return await step(stream);
        } catch (error) {
          await this.fresh(stream);
          if (stream.index === index || repeats === READ_REPEATS_MAX) throw error;
        }
        onRepeat();
      }
    } finally {
      this.release(stream);
    }
  }

  /**
   * The line of a row of a stream that is held; null where the stream was deleted or read anew
   * meanwhile, so that the row is to be looked up again.
   */
  async line(stream: Stream, row: number): Promise<Buffer | null> {
    const { index, files } = stream;
    try {
      return await readLine(this.#options.files, [...files], index.row(row));
    } catch (error) {
      if (await this.#isOther(stream, index)) return null;
      throw error;
    }
  }

  /** Whether the rows that somebody read by are no longer the stream's, or soon will be no more. */
  async #isOther(stream: Stream, index: StreamIndex): Promise<boolean> {
    await this.ready(stream);
    return stream.index !== index;
  }

  /** Streams whose catalog entry is older than they are write it anew. */
  refreshCatalog(): void {
    for (const stream of this.#changed) this.#writeEntry(stream);
    this.#changed.clear();
  }

  changed(stream: Stream): void {
    this.#changed.add(stream);
  }

  prepareFile(stream: Stream, fileName: string): void {
    this.#opener.open(stream, stream.fileNamed(fileName));
  }

  reload(stream: Stream): void {
    if (!isOpenForAdoption(stream)) return;
    // A scan beside a commit would miss its lines, or take them for another program's.
    if (stream.inFlight) {
      stream.reloadsNext = true;
      return;
    }
    this.counts.reloads += 1;
    this.#options.onReport('the files of a stream changed; reading them again', {
      stream: stream.key,
    });
    this.#load(stream);
  }

  landed(stream: Stream): void {
    stream.inFlight = false;
    this.#lookAgain(stream);
    if (!stream.reloadsNext) return;
    stream.reloadsNext = false;
    this.reload(stream);
    this.wake(stream);
  }

  async remove(stream: Stream, deletion: StreamDeletion): Promise<Failure | null> {
    const { layout, commitLane, files, catalog, hub, onTrash } = this.#options;
    stream.state = { kind: 'deleting' };
    const { runId, position, moved, rewrites } = deletion;
    const paths = trashPaths(layout, position);
    const emptied = runId === null ? foldersLeft(layout, stream.name) : [];
    const moves = { ...paths, folder: stream.folder, fileNames: moved, rewrites, runId, emptied };
    const result = await commitLane.run({ kind: 'trash', moves });
    if (result.kind !== 'trash') throw new Error('the commit lane answered another task');
    if (result.failure !== null) {
      const { path, message } = result.failure;
      const why = `${path}: ${message}; the daemon stops and recovers, ask again after its restart`;
      this.#cannotServe(stream, new StorageFailedError(why, 'not-committed'));
      return { ...result.failure, phase: 'sync' };
    }
    this.counts.directorySyncs += result.directorySyncs;
    for (const name of [...moved, ...rewrites]) {
      const file = stream.fileNamed(name);
      file.behind = null;
      files.forget(file);
    }
    if (runId === null) {
      const { generation, lastSeq } = stream;
      stream.end();
      catalog.remove(stream.name);
      this.#changed.delete(stream);
      hub.ended(stream, { generation, lastSeq });
    } else {
      stream.removeRun(runId, new Set(moved), result.rewritten);
      this.changed(stream);
    }
    onTrash(position, paths.final);
    this.#becomeReady(stream);
    void this.#options.checkpoint();
    return null;
  }

  /** Reads a stream from its files. */
  #load(stream: Stream): void {
    stream.state = { kind: 'loading' };
    stream.pins += 1;
    this.#loader
      .load(stream)
      .then(
        () => this.#becomeReady(stream),
        (error: unknown) => this.#cannotServe(stream, error),
      )
      .finally(() => this.release(stream));
  }

  #becomeReady(stream: Stream): void {
    stream.state = { kind: 'ready' };
    this.wake(stream);
  }

  #cannotServe(stream: Stream, error: unknown): void {
    // Those that wait are told; the next call tries again.
    stream.state = { kind: 'failed', error: error as Error };
    this.wake(stream);
  }

  /** Those who wait for the stream look at it again. */
  wake(stream: Stream): void {
    const waiting = this.#waiting.get(stream) ?? [];
    this.#waiting.delete(stream);
    for (const resolve of waiting) resolve();
    this.#lookAgain(stream);
    this.#committer?.kick();
  }

  #drop(stream: Stream): void {
    if (this.#changed.delete(stream)) this.#writeEntry(stream);
    for (const file of stream.files) if (!file.dirty) this.#options.files.forget(file);
  }

  #writeEntry(stream: Stream): void {
    const entry = stream.entry();
    if (entry === null) this.#options.catalog.remove(stream.name);
    else this.#options.catalog.set(entry);
  }
}
