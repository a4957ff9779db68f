/**
 * The store: the parts that order, commit, keep and read events, built together on what recovery
 * found. It knows no sockets.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import {
  DESCRIPTORS_RESERVED,
  DIRTY_FILES_MAX,
  IDLE_FILES_MAX,
  type SizeLimits,
  WATCHED_FILES_MAX,
} from '../shared/limits.js';
import { Checkpointer } from './commit/checkpointer.js';
import { Committer } from './commit/committer.js';
import type { CommitHealth } from './commit/health.js';
import { Lane } from './commit/lanes.js';
import { LogTail } from './commit/log-tail.js';
import { Retries } from './commit/retries.js';
import { type CheckedConfig, folderMode } from './config.js';
import { boundedRetention } from './directory.js';
import type { Recovered } from './recovery/recover.js';
import { restoreBehind } from './restore-behind.js';
import { Catalog } from './storage/catalog.js';
import { decodeCatalogFrame } from './storage/catalog-format.js';
import type { Layout } from './storage/layout.js';
import { FileTable } from './streams/file-table.js';
import { SessionFiles } from './streams/session-files.js';
import { StreamRepairs } from './streams/stream-repairs.js';
import { StreamTable } from './streams/stream-table.js';
import { PageSlots } from './subscriptions/catch-up.js';
import { Hub } from './subscriptions/hub.js';
import type { PositionSource } from './subscriptions/log-subscription.js';
import { Watcher } from './watch/watcher.js';
import type { CheckpointDone, CheckpointTask } from './workers/checkpoint.worker.js';
import type { CommitResult, CommitTask } from './workers/commit-task.js';
import type { Failure, Result } from './workers/failure.js';
import type { ScanResult, ScanTask } from './workers/scan.worker.js';
import type { SegmentResult, SegmentTask } from './workers/segment.worker.js';

const FILES_MIN = 16;

export interface StoreOptions {
  readonly config: CheckedConfig;
  readonly layout: Layout;
  readonly limits: SizeLimits;
  readonly logger: Logger;
  readonly recovered: Recovered;
  /** Told of a failure after which nothing may be acknowledged any more. */
  readonly onFatal: (failure: Failure) => void;
}

interface Lanes {
  readonly commit: Lane<CommitTask, CommitResult>;
  readonly segments: Lane<SegmentTask, SegmentResult>;
  readonly checkpoint: Lane<CheckpointTask, Result<CheckpointDone>>;
  readonly scan: Lane<ScanTask, ScanResult>;
}

/** Everything between the sockets and the disk. */
export class Store {
  readonly catalog: Catalog = new Catalog();
  readonly retries: Retries = new Retries();
  readonly hub: Hub = new Hub();
  readonly pageSlots: PageSlots = new PageSlots();
  readonly files: FileTable;
  readonly sessionFiles: SessionFiles;
  readonly table: StreamTable;
  readonly committer: Committer;
  readonly repairs: StreamRepairs;
  readonly #options: StoreOptions;
  readonly #lanes: Lanes;
  readonly #log: LogTail;
  readonly #checkpointer: Checkpointer;
  readonly #watcher: Watcher;

  constructor(options: StoreOptions) {
    this.#options = options;
    const { config, layout, recovered } = options;
    const state = decodeCatalogFrame(recovered.catalog);
    this.catalog.restore(state);
    this.retries.restore(state);
    this.#lanes = openLanes(options.onFatal);
    const { dirtyFilesMax, idleFilesMax, batchFilesMax } = fileLimits(openFilesMax());
    this.files = new FileTable(
      { file: config.fileMode, folder: folderMode(config.fileMode) },
      idleFilesMax,
    );
    this.sessionFiles = new SessionFiles(layout.turns);
    this.#log = this.#openLog();
    this.table = this.#openTable(dirtyFilesMax);
    this.committer = this.#openCommitter(batchFilesMax);
    this.table.attach(this.committer);
    this.#checkpointer = this.#openCheckpointer(dirtyFilesMax);
    this.#watcher = new Watcher({
      inUse: () => this.table.inUse(),
      suspect: (stream, changed) => this.table.suspect(stream, changed),
      pathsMax: WATCHED_FILES_MAX,
      onProblem: (error) => options.logger.warn({ error }, 'a journal file cannot be watched'),
    });
    this.repairs = this.#openRepairs();
  }

  get scanLane(): Lane<ScanTask, ScanResult> {
    return this.#lanes.scan;
  }

  /** The commit log by position. */
  get positions(): PositionSource {
    return {
      segments: this.#log.segments,
      frontier: this.committer.frontier,
      lane: this.#lanes.scan,
    };
  }

  /** Makes it ready to take operations. */
  async start(): Promise<void> {
    const noSpare = await this.#log.prepareSpare();
    if (noSpare !== null) {
      this.#options.logger.error(noSpare, 'no room for the next segment of the commit log');
    }
    await restoreBehind(this.#options.recovered.behind, this.table, this.committer);
    this.#watcher.start();
  }

  /**
   * Ends it with a checkpoint, when no operation waits any more.
   *
   * @returns why the directory is not up to date, or null when it is
   */
  async stop(): Promise<string | null> {
    await this.#watcher.close();
    await this.committer.idle();
    const failure = await this.#checkpointer.stop();
    if (failure !== null) return `the last checkpoint failed: ${failure.message}`;
    return this.committer.health === 'files-behind'
      ? 'some lines had no room in their journal files; they are in the commit log'
      : null;
  }

  /** Closes all that is open; what is under way is finished first. */
  async close(): Promise<void> {
    await this.#watcher.close();
    this.committer.close();
    this.#checkpointer.close();
    await this.#log.close(this.committer.health === 'ok');
    const { commit, segments, checkpoint, scan } = this.#lanes;
    await Promise.all([commit.close(), segments.close(), checkpoint.close(), scan.close()]);
    this.files.close();
  }

  /** Counts and sizes, for `stats`. */
  stats(): Readonly<Record<string, unknown>> & { readonly health: CommitHealth } {
    const { counts, queued, frontier, health } = this.committer;
    const checkpoints = this.#checkpointer.counts;
    return {
      ...counts,
      fsyncs: {
        log: counts.commits,
        files: checkpoints.fileSyncs + this.table.counts.fileSyncs,
        directories: checkpoints.directorySyncs + this.table.counts.directorySyncs,
      },
      checkpoints: checkpoints.checkpoints,
      openStreams: this.table.openStreams,
      subscriptions: this.hub.subscriptions,
      pushed: { ...this.hub.counts },
      queued,
      logBytes: this.#log.bytesOnDisk,
      epoch: this.#options.recovered.epoch,
      position: frontier,
      health,
    };
  }

  #openLog(): LogTail {
    const { layout, limits, recovered, onFatal } = this.#options;
    return new LogTail({
      layout,
      lane: this.#lanes.segments,
      segmentBytes: limits.segmentBytes,
      epoch: recovered.epoch,
      lastPosition: recovered.lastPosition,
      closed: recovered.segments,
      onFailure: onFatal,
    });
  }

  #openTable(dirtyFilesMax: number): StreamTable {
    const { layout, logger, onFatal } = this.#options;
    return new StreamTable({
      layout,
      catalog: this.catalog,
      files: this.files,
      sessionFiles: this.sessionFiles,
      scanLane: this.#lanes.scan,
      commitLane: this.#lanes.commit,
      hub: this.hub,
      commitBytesMax: this.#options.limits.commitBytesMax,
      dirtyFilesMax,
      onTrash: (position, path) => this.#checkpointer.addTrash(position, path),
      checkpoint: () => this.#checkpointer.run(),
      onFatal,
      onReport: (message, facts) => logger.warn(facts, message),
    });
  }

  #openRepairs(): StreamRepairs {
    const { catalog, table, committer, files, hub } = this;
    const { layout, logger, onFatal } = this.#options;
    return new StreamRepairs({
      layout,
      catalog,
      table,
      committer,
      files,
      hub,
      scanLane: this.#lanes.scan,
      cover: () => this.#checkpointer.cover(),
      onFatal,
      onReport: (message, facts) => logger.warn(facts, message),
    });
  }

  #openCommitter(batchFilesMax: number): Committer {
    const { limits, recovered, logger, onFatal } = this.#options;
    return new Committer({
      log: this.#log,
      lane: this.#lanes.commit,
      files: this.files,
      retries: this.retries,
      streams: this.table,
      hub: this.hub,
      epoch: recovered.epoch,
      lastPosition: recovered.lastPosition,
      nextPosition: recovered.nextPosition,
      batchFilesMax,
      commitBytesMax: limits.commitBytesMax,
      onFatal,
      onCommitted: () => this.#checkpointer.consider(),
      onLogFull: () => void this.#checkpointer.run(),
      onHealth: (health, reason) => {
        logger[health === 'ok' ? 'info' : 'error']({ health, reason }, `health: ${health}`);
      },
    });
  }

  #openCheckpointer(dirtyFilesMax: number): Checkpointer {
    const { layout, config, recovered, onFatal } = this.#options;
    return new Checkpointer({
      layout,
      lane: this.#lanes.checkpoint,
      log: this.#log,
      files: this.files,
      catalog: this.catalog,
      retries: this.retries,
      committer: this.committer,
      epoch: recovered.epoch,
      end: recovered.catalogEnd,
      dirtyFilesMax,
      logRetentionBytes: boundedRetention(layout, config.logRetentionBytes),
      catalogIsCurrent: recovered.catalogIsCurrent,
      trash: recovered.trash,
      refreshCatalog: () => this.table.refreshCatalog(),
      onFatal,
    });
  }
}

function openLanes(onFatal: (failure: Failure) => void): Lanes {
  const onError = ({ message }: Error): void =>
    onFatal({ phase: 'write', code: 'THREAD', path: '', message });
  return {
    commit: new Lane('commit.worker.js', onError),
    segments: new Lane('segment.worker.js', onError),
    checkpoint: new Lane('checkpoint.worker.js', onError),
    scan: new Lane('scan.worker.js', onError),
  };
}

/** How many journal files may be dirty, and how many clean ones stay open. */
function fileLimits(openMax: number): {
  readonly dirtyFilesMax: number;
  readonly idleFilesMax: number;
  readonly batchFilesMax: number;
} {
  const room = openMax - DESCRIPTORS_RESERVED;
  const idleFilesMax = Math.max(FILES_MIN, Math.min(IDLE_FILES_MAX, Math.floor(room / 4)));
  const dirtyFilesMax = Math.max(FILES_MIN, Math.min(DIRTY_FILES_MAX, Math.floor(room / 2)));
  const batchFilesMax = Math.max(FILES_MIN, Math.floor(room / 2));
  return { dirtyFilesMax, idleFilesMax, batchFilesMax };
}

/** The files that this process may have open. */
function openFilesMax(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'utf8');
    return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? 1024);
  } catch {
    // Not Linux: the least that any system gives.
    return 256;
  }
}
