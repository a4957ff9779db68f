/**
 * The table of open streams: loads a stream when it is first touched, keeps the recently used,
 * and carries out what the committer asks of streams and their files.
 *
 * @module
 */
import { LRUCache } from 'lru-cache';
import { StorageFailedError } from '../../shared/errors.js';
import { INDEX_BYTES_MAX, OPEN_STREAMS_MAX } from '../../shared/limits.js';
import type { Committer } from '../commit/committer.js';
import type { Lane } from '../commit/lanes.js';
import type { StreamDeletion, StreamSource } from '../commit/stream-source.js';
import type { Catalog } from '../storage/catalog.js';
import type { CatalogEntry } from '../storage/catalog-format.js';
import {
  foldersLeft,
  type Layout,
  type StreamName,
  streamFolders,
  streamKey,
  trashPaths,
} from '../storage/layout.js';
import type { Hub } from '../subscriptions/hub.js';
import type { CommitResult, CommitTask } from '../workers/commit-task.js';
import type { Failure } from '../workers/failure.js';
import type { ScanResult, ScanTask } from '../workers/scan.worker.js';
import type { FileTable } from './file-table.js';
import { isFresh } from './freshness.js';
import type { LoadedStream } from './load.js';
import { openFailure } from './open-failure.js';
import type { SessionFiles } from './session-files.js';
import { Stream } from './stream.js';

export interface StreamTableOptions {
  readonly layout: Layout;
  readonly catalog: Catalog;
  readonly files: FileTable;
  readonly sessionFiles: SessionFiles;
  readonly scanLane: Lane<ScanTask, ScanResult>;
  readonly commitLane: Lane<CommitTask, CommitResult>;
  /** Told when a stream ends or is read anew. */
  readonly hub: Hub;
  readonly dirtyFilesMax: number;
  readonly onTrash: (position: number, path: string) => void;
  /** Waits for a checkpoint: too many files are dirty. */
  readonly checkpoint: () => Promise<unknown>;
  readonly onFatal: (failure: Failure) => void;
  readonly onReport: (message: string, facts: object) => void;
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
  readonly #opening: Set<string> = new Set();
  #committer: Committer | null = null;
  /** The fsyncs that made foreign content durable. */
  readonly counts: { fileSyncs: number; directorySyncs: number; loads: number } = {
    fileSyncs: 0,
    directorySyncs: 0,
    loads: 0,
  };

  constructor(options: StreamTableOptions) {
    this.#options = options;
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
    let stream = this.#active.get(key);
    if (stream === undefined) {
      stream = this.#idle.get(key);
      if (stream === undefined) {
        stream = new Stream(name, streamFolders(this.#options.layout, name));
        this.#load(stream);
      } else this.#idle.delete(key);
      this.#active.set(key, stream);
    }
    stream.pins += 1;
    return stream;
  }

  /** Ends what `hold` began. */
  release(stream: Stream): void {
    stream.pins -= 1;
    if (stream.pins > 0 || this.#active.get(stream.key) !== stream) return;
    const isSettled =
      stream.state.kind === 'ready' &&
      stream.files.every(({ unmarkedFrom }) => unmarkedFrom === null);
    if (!isSettled) return;
    this.#active.delete(stream.key);
    this.#idle.set(stream.key, stream);
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
    if (isFresh(stream)) return;
    this.reload(stream);
    await this.ready(stream);
  }

  /** Runs a step with a stream that is open and as its files are. */
  async read<T>(name: StreamName, step: (stream: Stream) => Promise<T>): Promise<T> {
    const stream = this.hold(name);
    try {
      await this.fresh(stream);
      return await step(stream);
    } finally {
      this.release(stream);
    }
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
    const file = stream.fileNamed(fileName);
    if (this.#opening.has(file.path)) return;
    // The others have their turn when one of these is open: more would only close one another.
    if (this.#opening.size >= this.#options.files.openingMax) return;
    this.#opening.add(file.path);
    stream.pins += 1;
    this.#open(stream, fileName)
      .catch((error: unknown) => {
        file.openError = openFailure(file.path, error);
      })
      .finally(() => {
        this.#opening.delete(file.path);
        this.release(stream);
        this.#committer?.kick();
      });
  }

  async #open(stream: Stream, fileName: string): Promise<void> {
    const { files, dirtyFilesMax, checkpoint } = this.#options;
    if (files.dirty.size >= dirtyFilesMax) await checkpoint();
    await files.openForAppend(stream.fileNamed(fileName), stream.folders);
  }

  reload(stream: Stream): void {
    if (stream.state.kind !== 'ready' || stream.files.some(({ behind }) => behind !== null)) return;
    // A scan beside a commit would miss its lines, or take them for another program's.
    if (stream.inFlight) {
      stream.reloadsNext = true;
      return;
    }
    this.#options.onReport('the files of a stream changed; reading them again', {
      stream: stream.key,
    });
    this.#load(stream);
  }

  landed(stream: Stream): void {
    stream.inFlight = false;
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
    if (result.failure !== null) return { ...result.failure, phase: 'sync' };
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

  /** Reads a stream from its files and, where they hold what is not known, adopts that first. */
  #load(stream: Stream): void {
    const entry = stream.entry() ?? this.#options.catalog.get(stream.name);
    const lines = stream.unmarkedLines();
    stream.state = { kind: 'loading' };
    stream.pins += 1;
    this.#scan(stream, entry, lines)
      .then((loaded) => this.#take(stream, entry, loaded))
      .then(
        () => this.#becomeReady(stream),
        (error: unknown) => this.#loadFailed(stream, error),
      )
      .finally(() => this.release(stream));
  }

  async #scan(
    stream: Stream,
    entry: CatalogEntry | null,
    known: ReturnType<Stream['unmarkedLines']>,
  ): Promise<LoadedStream> {
    const { name, folder } = stream;
    const { scanLane, sessionFiles } = this.#options;
    const fileNames = name.journal === 'turns' ? await sessionFiles.of(name.id) : null;
    const result = await scanLane.run({
      kind: 'load',
      task: { name, folder, fileNames, entry, known },
    });
    this.counts.loads += 1;
    if (result.kind !== 'load') throw new Error('the scan lane answered another task');
    if (!result.result.ok) throw this.#readFailure(result.result.failure);
    const loaded = result.result.value;
    this.counts.fileSyncs += loaded.syncs.files;
    this.counts.directorySyncs += loaded.syncs.directories;
    return loaded;
  }

  async #take(stream: Stream, entry: CatalogEntry | null, loaded: LoadedStream): Promise<void> {
    const { content } = loaded;
    const { catalog, files, hub, onReport } = this.#options;
    const isNewFence = content.fence !== null && content.fence !== (entry?.fence ?? null);
    const hasEnded = entry !== null && !content.continues;
    let generation = content.continues ? (entry?.generation ?? 0) : 0;
    if (hasEnded && content.files.length === 0) {
      await this.#adopt(stream, null, entry.generation);
      onReport('the last file of a stream was removed by another program', { stream: stream.key });
    } else if (content.foreign || isNewFence) {
      generation = await this.#adopt(stream, loaded, generation === 0 ? null : generation);
      onReport('content of other programs was adopted', {
        stream: stream.key,
        fence: content.fence,
      });
    }
    for (const file of stream.files) if (!file.dirty) files.forget(file);
    stream.fill(loaded, generation);
    if (generation !== 0 && (content.foreign || isNewFence)) this.changed(stream);
    if (generation === 0) catalog.remove(stream.name);
    if (hasEnded) hub.ended(stream, { generation: entry.generation, lastSeq: entry.lastSeq });
    hub.reread(stream);
  }

  #adopt(stream: Stream, loaded: LoadedStream | null, generation: number | null): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#committer?.enqueue({
        kind: 'adopt',
        streams: [stream],
        loaded,
        generation,
        settle: { resolve, reject },
      });
    });
  }

  #becomeReady(stream: Stream): void {
    stream.state = { kind: 'ready' };
    this.wake(stream);
  }

  #loadFailed(stream: Stream, error: unknown): void {
    stream.state = { kind: 'failed', error: error as Error };
    // The next call tries again; those that wait are told.
    if (this.#active.get(stream.key) === stream) this.#active.delete(stream.key);
    this.wake(stream);
  }

  /** Those who wait for the stream look at it again. */
  wake(stream: Stream): void {
    const waiting = this.#waiting.get(stream) ?? [];
    this.#waiting.delete(stream);
    for (const resolve of waiting) resolve();
    this.#committer?.kick();
  }

  #readFailure(failure: Failure): Error {
    if (failure.phase === 'sync') this.#options.onFatal(failure);
    return new StorageFailedError(
      `${failure.path} cannot be read: ${failure.message}; mend what is wrong with it and try again`,
      'not-committed',
    );
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
