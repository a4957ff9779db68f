/**
 * The composition root: builds the daemon from its parts, starts it and stops it.
 *
 * States: starting → serving → draining → stopped. It listens only under the lock and after
 * recovery; it ends cleanly only with no append unanswered and everything in a checkpoint.
 *
 * @module
 */
import cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { FormatVersionError, LogCorruptError, StorageFailedError } from '../shared/errors.js';
import {
  DESCRIPTORS_RESERVED,
  DIRTY_FILES_MAX,
  IDLE_FILES_MAX,
  sizeLimits,
} from '../shared/limits.js';
import { Checkpointer } from './commit/checkpointer.js';
import { Committer } from './commit/committer.js';
import { Lane } from './commit/lanes.js';
import { LogTail } from './commit/log-tail.js';
import { Retries } from './commit/retries.js';
import { type CheckedConfig, checkConfig, type DaemonConfig, folderMode } from './config.js';
import {
  boundedRetention,
  checkFormat,
  prepareDirectory,
  removeLeftovers,
  usableSocketPath,
  writeEndpoint,
} from './directory.js';
import { type DirectoryLock, lockDirectory } from './directory-lock.js';
import { createLogger } from './logger.js';
import type { Recovered, RecoveryTask } from './recovery/recover.js';
import { restoreBehind } from './restore-behind.js';
import type { ServerContext } from './server/context.js';
import { Listener } from './server/listener.js';
import { Catalog } from './storage/catalog.js';
import { decodeCatalogFrame } from './storage/catalog-format.js';
import { type Layout, layoutOf } from './storage/layout.js';
import { FileTable } from './streams/file-table.js';
import { SessionFiles } from './streams/session-files.js';
import { StreamTable } from './streams/stream-table.js';
import { packageVersion } from './version.js';
import type { CheckpointDone, CheckpointTask } from './workers/checkpoint.worker.js';
import type { CommitResult, CommitTask } from './workers/commit-task.js';
import type { Failure, Result } from './workers/failure.js';
import type { RecoveryResult } from './workers/recovery.worker.js';
import type { ScanResult, ScanTask } from './workers/scan.worker.js';
import type { SegmentResult, SegmentTask } from './workers/segment.worker.js';

/** How a daemon ended. */
export type DaemonEnd =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly message: string };

/** A daemon that runs. */
export interface Daemon {
  /** The journal directory, absolute. */
  readonly dir: string;
  /** Where it listens. */
  readonly socketPath: string;
  /** Drains and stops it; resolves when it has stopped. */
  close(): Promise<void>;
  /** Resolves when it has ended, by `close` or by a failure after which it must not go on. */
  readonly closed: Promise<DaemonEnd>;
}

/**
 * Starts a daemon on a journal directory.
 *
 * @param config what differs from the defaults
 * @returns the daemon, which listens
 * @throws LockHeldError when another process owns the directory
 * @throws LogCorruptError when what was durable is damaged
 * @throws FormatVersionError when a newer eventlogd wrote the directory
 * @throws InvalidArgumentError when a setting is not of its form
 * @example
 * const daemon = await startDaemon({ dir: './data' });
 * console.log(`listening on ${daemon.socketPath}`);
 * await daemon.close();
 */
export async function startDaemon(config: DaemonConfig = {}): Promise<Daemon> {
  if (cluster.isWorker) {
    throw new Error(
      'eventlogd must not run as a cluster worker: start it in fork mode, one instance',
    );
  }
  const checked = checkConfig(config);
  const layout = layoutOf(checked.dir);
  const logger = createLogger(checked.logLevel);
  prepareDirectory(layout, folderMode(checked.fileMode));
  const lock = lockDirectory(layout.lock);
  try {
    checkFormat(layout);
    removeLeftovers(layout);
    const modes = { file: checked.fileMode, folder: folderMode(checked.fileMode) };
    const recovered = await recover({ layout, modes });
    const { notes, segments, catalog: _catalog, behind: _behind, ...facts } = recovered;
    for (const note of notes) logger.warn(note, `recovery: ${note.path}: ${note.detail}`);
    logger.info({ ...facts, segments: segments.length }, 'recovered');
    return await new RunningDaemon({ config: checked, layout, logger, lock, recovered }).start();
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Recovery on its own thread, which ends with it. */
async function recover(task: RecoveryTask): Promise<Recovered> {
  const lane = new Lane<RecoveryTask, RecoveryResult>('recovery.worker.js', () => undefined);
  try {
    const result = await lane.run(task);
    switch (result.kind) {
      case 'recovered':
        return result.recovered;
      case 'corrupt':
        throw new LogCorruptError(result.file, result.offset, result.message);
      case 'format':
        throw new FormatVersionError(result.message);
      case 'failed':
        throw new StorageFailedError(
          `recovery failed: ${result.failure.path}: ${result.failure.message}`,
          'not-committed',
        );
      default:
        return result satisfies never;
    }
  } finally {
    await lane.close();
  }
}

interface RunningOptions {
  readonly config: CheckedConfig;
  readonly layout: Layout;
  readonly logger: Logger;
  readonly lock: DirectoryLock;
  readonly recovered: Recovered;
}

class RunningDaemon implements Daemon {
  readonly dir: string;
  readonly socketPath: string;
  readonly closed: Promise<DaemonEnd>;
  readonly #options: RunningOptions;
  readonly #lanes: {
    readonly commit: Lane<CommitTask, CommitResult>;
    readonly segments: Lane<SegmentTask, SegmentResult>;
    readonly checkpoint: Lane<CheckpointTask, Result<CheckpointDone>>;
    readonly scan: Lane<ScanTask, ScanResult>;
  };
  readonly #log: LogTail;
  readonly #files: FileTable;
  readonly #table: StreamTable;
  readonly #committer: Committer;
  readonly #checkpointer: Checkpointer;
  readonly #listener: Listener;
  readonly #sessionFiles: SessionFiles;
  #state: 'starting' | 'serving' | 'draining' | 'stopped' = 'starting';
  #end: (end: DaemonEnd) => void = () => undefined;
  #stopping: Promise<void> | null = null;

  constructor(options: RunningOptions) {
    this.#options = options;
    const { config, layout, recovered } = options;
    this.dir = layout.dir;
    this.socketPath = usableSocketPath(config.socketPath, layout.dir);
    this.closed = new Promise((resolve) => {
      this.#end = resolve;
    });
    const onError = (error: Error): void =>
      this.#fatal({ phase: 'write', code: 'THREAD', path: '', message: error.message });
    this.#lanes = {
      commit: new Lane('commit.worker.js', onError),
      segments: new Lane('segment.worker.js', onError),
      checkpoint: new Lane('checkpoint.worker.js', onError),
      scan: new Lane('scan.worker.js', onError),
    };
    const limits = sizeLimits(config.segmentBytes, config.eventBytesMax);
    const { epoch, lastPosition, nextPosition } = recovered;
    const catalog = new Catalog();
    const retries = new Retries();
    const state = decodeCatalogFrame(recovered.catalog);
    catalog.restore(state);
    retries.restore(state);
    const dirtyFilesMax = Math.max(
      16,
      Math.min(DIRTY_FILES_MAX, openFilesMax() - DESCRIPTORS_RESERVED - IDLE_FILES_MAX),
    );
    const modes = { file: config.fileMode, folder: folderMode(config.fileMode) };
    this.#files = new FileTable(
      modes,
      Math.min(IDLE_FILES_MAX, Math.max(16, Math.floor(openFilesMax() / 4))),
    );
    this.#log = new LogTail({
      layout,
      lane: this.#lanes.segments,
      segmentBytes: limits.segmentBytes,
      epoch,
      lastPosition,
      closed: recovered.segments,
      onFailure: (failure) => this.#fatal(failure),
    });
    this.#sessionFiles = new SessionFiles(layout.turns);
    this.#table = new StreamTable({
      layout,
      catalog,
      files: this.#files,
      sessionFiles: this.#sessionFiles,
      scanLane: this.#lanes.scan,
      commitLane: this.#lanes.commit,
      dirtyFilesMax,
      onTrash: (position, path) => this.#checkpointer.addTrash(position, path),
      checkpoint: () => this.#checkpointer.run(),
      onFatal: (failure) => this.#fatal(failure),
      onReport: (message, facts) => options.logger.warn(facts, message),
    });
    this.#committer = new Committer({
      log: this.#log,
      lane: this.#lanes.commit,
      files: this.#files,
      retries,
      streams: this.#table,
      epoch,
      lastPosition,
      nextPosition,
      commitBytesMax: limits.commitBytesMax,
      onFatal: (failure) => this.#fatal(failure),
      onCommitted: () => this.#checkpointer.consider(),
      onHealth: (health, reason) =>
        options.logger[health === 'ok' ? 'info' : 'error']({ health, reason }, `health: ${health}`),
    });
    this.#table.attach(this.#committer);
    this.#checkpointer = new Checkpointer({
      layout,
      lane: this.#lanes.checkpoint,
      log: this.#log,
      files: this.#files,
      catalog,
      retries,
      committer: this.#committer,
      epoch,
      end: recovered.catalogEnd,
      dirtyFilesMax,
      logRetentionBytes: boundedRetention(layout, config.logRetentionBytes),
      replaceCatalog: !recovered.catalogIsCurrent,
      refreshCatalog: () => this.#table.refreshCatalog(),
      onFatal: (failure) => this.#fatal(failure),
    });
    const context: ServerContext = {
      layout,
      limits,
      epoch,
      version: packageVersion(),
      table: this.#table,
      committer: this.#committer,
      files: this.#files,
      sessionFiles: this.#sessionFiles,
      catalog,
      retries,
      scanLane: this.#lanes.scan,
      stats: () => this.#stats(),
    };
    this.#listener = new Listener({
      socketPath: this.socketPath,
      socketMode: config.socketMode,
      context,
      onProblem: (reason) => options.logger.warn({ reason }, 'connection problem'),
    });
  }

  async start(): Promise<this> {
    const { layout, recovered, logger } = this.#options;
    const noSpare = await this.#log.prepareSpare();
    if (noSpare !== null)
      logger.error({ failure: noSpare }, 'no room for the next segment of the commit log');
    await restoreBehind(recovered.behind, this.#table, this.#committer);
    await this.#listener.listen();
    writeEndpoint(layout, this.socketPath);
    this.#state = 'serving';
    return this;
  }

  close(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#state = 'draining';
    this.#listener.stopAccepting();
    await this.#listener.drain();
    await this.#committer.idle();
    const failure = await this.#checkpointer.stop();
    if (failure !== null || this.#committer.health === 'files-behind') {
      const message =
        failure?.message ?? 'lines of journal files had no room; they are in the commit log';
      await this.#cease({ kind: 'failed', message: `the last checkpoint failed: ${message}` });
      return;
    }
    await this.#cease({ kind: 'stopped' });
  }

  /** Nothing is certain any more: nothing more is acknowledged, the rest is recovery's. */
  #fatal(failure: Failure): void {
    if (this.#state === 'stopped' || this.#committer.health === 'failed') return;
    this.#options.logger.fatal({ failure }, 'storage failed; stopping without a checkpoint');
    this.#state = 'draining';
    this.#listener.stopAccepting();
    this.#committer.failNow(failure);
    this.#stopping = this.#listener
      .drain()
      .then(() => this.#cease({ kind: 'failed', message: `${failure.path}: ${failure.message}` }));
  }

  async #cease(end: DaemonEnd): Promise<void> {
    this.#state = 'stopped';
    this.#committer.close();
    this.#checkpointer.close();
    const { commit, segments, checkpoint, scan } = this.#lanes;
    await this.#log.close();
    await Promise.all([commit.close(), segments.close(), checkpoint.close(), scan.close()]);
    this.#files.close();
    this.#options.lock.release();
    this.#end(end);
  }

  #stats(): object {
    const { counts } = this.#committer;
    const checkpoints = this.#checkpointer.counts;
    return {
      appends: counts.appends,
      events: counts.events,
      commits: counts.commits,
      fsyncs: {
        log: counts.commits,
        files: checkpoints.fileSyncs + this.#table.counts.fileSyncs,
        directories: checkpoints.directorySyncs + this.#table.counts.directorySyncs,
      },
      checkpoints: checkpoints.checkpoints,
      connections: this.#listener.connections,
      subscriptions: 0,
      openStreams: this.#table.openStreams,
      queued: this.#committer.queued,
      logBytes: this.#log.bytesOnDisk,
      epoch: this.#options.recovered.epoch,
      position: this.#committer.frontier,
      pid: process.pid,
      health: this.#state === 'draining' ? 'draining' : this.#committer.health,
    };
  }
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
