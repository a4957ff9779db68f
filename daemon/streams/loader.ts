/**
 * Reads streams from their files and, where those hold what is not known, makes that durable
 * before it shows: first touch, and every change by another program that is more than growth.
 *
 * @module
 */
import { StorageFailedError } from '../../shared/errors.js';
import type { Lane } from '../commit/lanes.js';
import type { AdoptOperation, Operation } from '../commit/operations.js';
import type { Catalog } from '../storage/catalog.js';
import type { CatalogEntry } from '../storage/catalog-format.js';
import { runOfFile } from '../storage/layout.js';
import type { Hub } from '../subscriptions/hub.js';
import { type Failure, failureOf } from '../workers/failure.js';
import type { ScanResult, ScanTask } from '../workers/scan.worker.js';
import type { FileTable } from './file-table.js';
import type { LoadedStream } from './load.js';
import type { SessionFiles } from './session-files.js';
import type { Stream } from './stream.js';

export interface LoaderOptions {
  readonly catalog: Catalog;
  readonly files: FileTable;
  readonly sessionFiles: SessionFiles;
  readonly scanLane: Lane<ScanTask, ScanResult>;
  /** Told when a stream ends or is read anew. */
  readonly hub: Hub;
  readonly onFatal: (failure: Failure) => void;
  readonly onReport: (message: string, facts: object) => void;
}

/** What the committer and the table do for a loader. */
export interface LoaderOwner {
  readonly enqueue: (operation: Operation) => void;
  /** The stream's state is no longer what the catalog knows. */
  readonly changed: (stream: Stream) => void;
}

/** Loads streams. */
export class Loader {
  /** The fsyncs that made foreign content durable, and how often streams were read, and read anew. */
  readonly counts: Record<'fileSyncs' | 'directorySyncs' | 'loads' | 'reloads', number> = {
    fileSyncs: 0,
    directorySyncs: 0,
    loads: 0,
    reloads: 0,
  };
  readonly #options: LoaderOptions;
  readonly #owner: LoaderOwner;

  constructor(options: LoaderOptions, owner: LoaderOwner) {
    this.#options = options;
    this.#owner = owner;
  }

  /**
   * Fills a stream from its files.
   *
   * @throws EventLogError when they cannot be read, or what they hold cannot be made durable
   */
  async load(stream: Stream): Promise<void> {
    const entry = stream.entry() ?? this.#options.catalog.get(stream.name);
    await this.#take(stream, entry, await this.#scan(stream, entry));
  }

  async #scan(stream: Stream, entry: CatalogEntry | null): Promise<LoadedStream> {
    const known = stream.unmarkedLines();
    const { name, folder } = stream;
    const { scanLane, sessionFiles } = this.#options;
    const fileNames =
      name.journal === 'turns'
        ? await sessionFiles.of(name.id).catch((error: unknown) => {
            throw this.#readFailure(failureOf(error, 'read', folder));
          })
        : null;
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
    const isNews = content.foreign || isNewFence;
    const ended = entry !== null && !content.continues ? entry.generation : null;
    let generation = content.continues ? (entry?.generation ?? 0) : 0;
    if (ended !== null || isNews) {
      generation = await this.#adopt({
        kind: 'adopt',
        streams: [stream],
        loaded: (isNews && content.files.length > 0) || generation !== 0 ? loaded : null,
        generation: generation === 0 ? null : generation,
        ended,
        removedRuns: content.continues ? removedRuns(stream, entry, loaded) : [],
      });
      const what =
        ended === null
          ? 'content of other programs was adopted'
          : 'the files of a stream were removed by another program';
      onReport(what, { stream: stream.key, fence: content.fence });
    }
    for (const file of stream.files) if (!file.dirty) files.forget(file);
    stream.fill(loaded, generation);
    if (generation === 0) catalog.remove(stream.name);
    else if (isNews) this.#owner.changed(stream);
    if (ended !== null) hub.ended(stream, { generation: ended, lastSeq: entry?.lastSeq ?? 0 });
    hub.reread(stream);
  }

  #adopt(operation: Omit<AdoptOperation, 'settle'>): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#owner.enqueue({ ...operation, settle: { resolve, reject } });
    });
  }

  #readFailure(failure: Failure): Error {
    if (failure.phase === 'sync') this.#options.onFatal(failure);
    return new StorageFailedError(
      `${failure.path} cannot be read: ${failure.message}; mend what is wrong with it and try again`,
      'not-committed',
    );
  }
}

/** The runs of a living thread whose files are gone, and how many events went with each. */
function removedRuns(
  stream: Stream,
  entry: CatalogEntry | null,
  loaded: LoadedStream,
): AdoptOperation['removedRuns'] {
  if (stream.name.journal !== 'runs') return [];
  const there = new Set(loaded.content.files.map(({ mark }) => mark.name));
  return (entry?.files ?? [])
    .filter(({ name }) => !there.has(name))
    .flatMap(({ name }) => {
      const runId = runOfFile(name);
      return runId === null ? [] : [{ runId, count: stream.rowsOfRun(runId) }];
    });
}
