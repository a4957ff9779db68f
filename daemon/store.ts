/**
 * The store: the parts that order, commit, keep and read events, built together on what recovery
 * found. It knows no sockets.
 *
 * @module
 */
import type { Logger } from 'pino';
import { type SizeLimits, WATCHED_FILES_MAX } from '../shared/limits.js';
import { Backups } from './backup/backups.js';
import { type CheckpointCounts, Checkpointer } from './commit/checkpointer.js';
import type { CommitCounts } from './commit/commit-counts.js';
import { Committer } from './commit/committer.js';
import { type CommitHealth, takesAppends } from './commit/health-table.js';
import type { Lane } from './commit/lanes.js';
import { LogTail } from './commit/log-tail.js';
import { Retries } from './commit/retries.js';
import { type MeasuredRoom, RoomWatch } from './commit/room-watch.js';
import { folderMode } from './config.js';
import { boundedRetention } from './directory.js';
import { fileLimits } from './file-limits.js';
import type { Spread } from './metrics/distribution.js';
import type { Recovered } from './recovery/recover.js';
import { restoreBehind } from './restore-behind.js';
import type { CheckedConfig } from './settings.js';
import { Catalog } from './storage/catalog.js';
import { decodeCatalogFrame } from './storage/catalog-format.js';
import type { Layout } from './storage/layout.js';
import { closeLanes, type Lanes, openLanes } from './store-lanes.js';
import { FileTable } from './streams/file-table.js';
import { SessionFiles } from './streams/session-files.js';
import { StreamRepairs } from './streams/stream-repairs.js';
import { StreamTable } from './streams/stream-table.js';
import { type StreamTotals, totalsOf } from './streams/stream-totals.js';
import { PageSlots } from './subscriptions/catch-up.js';
import { Hub } from './subscriptions/hub.js';
import type { PositionSource } from './subscriptions/log-subscription.js';
import type { PushCounts } from './subscriptions/push-writer.js';
import { Watcher } from './watch/watcher.js';
import type { Failure } from './workers/failure.js';
import type { ScanResult, ScanTask } from './workers/scan.worker.js';

export interface StoreOptions {
  readonly config: CheckedConfig;
  readonly layout: Layout;
  readonly limits: SizeLimits;
  readonly logger: Logger;
  readonly recovered: Recovered;
  /** Told of a failure after which nothing may be acknowledged any more. */
  readonly onFatal: (failure: Failure) => void;
}

/** What the store counted so far and how big things are. */
export interface StoreMeasures {
  readonly commit: CommitCounts;
  readonly fsyncs: { readonly log: number; readonly files: number; readonly directories: number };
  readonly checkpoint: {
    readonly count: number;
    readonly seconds: Spread;
    /** How long the oldest write waits that no checkpoint covers; 0 where all is covered. */
    readonly ageMs: number;
    /** Bytes of the log that a recovery would have to carry out. */
    readonly uncoveredBytes: number;
    readonly last: CheckpointCounts['last'];
  };
  /** How often streams were read from their files, and read anew for a change of others. */
  readonly loads: number;
  readonly reloads: number;
  readonly openStreams: number;
  /** Streams that the catalog knows. */
  readonly streams: number;
  readonly subscriptions: number;
  readonly pushed: Readonly<PushCounts>;
  readonly queued: number;
  /** How long the commit in flight has been with the disk; 0 where there is none. */
  readonly writingMs: number;
  readonly logBytes: number;
  /** The room of the directory's file system. */
  readonly room: MeasuredRoom;
  readonly epoch: number;
  readonly position: number;
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
  readonly backups: Backups;
  readonly #options: StoreOptions;
  readonly #lanes: Lanes;
  readonly #room: RoomWatch;
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
    const { dirtyFilesMax, idleFilesMax, batchFilesMax } = fileLimits();
    this.files = new FileTable(
      { file: config.fileMode, folder: folderMode(config.fileMode) },
      idleFilesMax,
    );
    this.sessionFiles = new SessionFiles(layout.turns);
    this.#room = this.#openRoom();
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
    const { logger } = options;
    const parts = { log: this.#log, checkpointer: this.#checkpointer, store: this };
    this.backups = new Backups({ layout, logger, ...parts });
  }

  /** The room of the directory's file system, as it was measured last. */
  get room(): MeasuredRoom {
    return this.#room.room;
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
    await restoreBehind(this.#options.recovered.behind, this.table, this.committer);
    await this.#room.start();
    const noSpare = await this.#log.prepareSpare();
    if (noSpare !== null) {
      this.#options.logger.error(noSpare, 'no room for the next segment of the commit log');
    }
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
    return this.committer.writes === 'files-behind'
      ? 'some lines had no room in their journal files; they are in the commit log'
      : null;
  }

  /** Closes all that is open; what is under way is finished first. */
  async close(): Promise<void> {
    await Promise.all([this.backups.close(), this.#watcher.close()]);
    this.#room.close();
    this.committer.close();
    this.#checkpointer.close();
    await this.#log.close(this.committer.writes === 'ok');
    await closeLanes(this.#lanes);
    this.files.close();
  }

  /** Counts and sizes at this moment. */
  measures(): StoreMeasures {
    const { committer, table, hub } = this;
    const { counts: loads } = table;
    const { counts: checkpoints, ageMs, uncoveredBytes } = this.#checkpointer;
    return {
      commit: committer.counts,
      fsyncs: {
        log: committer.counts.commits,
        files: checkpoints.fileSyncs + loads.fileSyncs,
        directories: checkpoints.directorySyncs + loads.directorySyncs,
      },
      checkpoint: {
        count: checkpoints.checkpoints,
        seconds: checkpoints.seconds,
        ageMs,
        uncoveredBytes,
        last: checkpoints.last,
      },
      loads: loads.loads,
      reloads: loads.reloads,
      openStreams: table.openStreams,
      streams: this.catalog.size,
      subscriptions: hub.subscriptions,
      pushed: { ...hub.counts },
      queued: committer.queued,
      writingMs: committer.writingMs,
      logBytes: this.#log.bytesOnDisk,
      room: this.room,
      epoch: this.#options.recovered.epoch,
      position: committer.frontier,
    };
  }

  /** Sums over all open streams: it looks at each. */
  streamTotals(): StreamTotals {
    return totalsOf(this.table.inUse());
  }

  #openRoom(): RoomWatch {
    const { layout, config } = this.#options;
    return new RoomWatch({
      folder: layout.dir,
      reserveBytes: config.diskReserveBytes,
      writtenBytes: () => this.#log.bytesWritten,
      onRoom: (room, reason) => this.committer.measured(room, reason),
    });
  }

  #openLog(): LogTail {
    const { layout, limits, recovered, onFatal } = this.#options;
    return new LogTail({
      layout,
      lane: this.#lanes.segments,
      segmentBytes: limits.segmentBytes,
      fillBytes: () => this.#room.fillBytes,
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
    const { limits, recovered, onFatal } = this.#options;
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
      onCommitted: () => {
        this.#checkpointer.consider();
        this.#room.wrote();
      },
      onSlowSync: (path, tookMs) => this.#warnOfSlowSync(path, tookMs),
      onLogFull: () => void this.#checkpointer.run(),
      onHealth: (health, reason) => this.#tellHealth(health, reason),
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
      onDone: (facts) => this.#options.logger.debug(facts, 'checkpoint'),
      onSlowSync: (path, tookMs) => this.#warnOfSlowSync(path, tookMs),
    });
  }

  #tellHealth(health: CommitHealth, reason: string): void {
    const level = health === 'ok' ? 'info' : takesAppends(health) ? 'warn' : 'error';
    this.#options.logger[level]({ health, reason }, `health: ${health}`);
    // What a write met may not have been measured yet.
    if (health === 'log-full' || health === 'files-behind') void this.#room.look();
    // A checkpoint gives back log that is not retained, and empties the trash.
    if (health === 'disk-low' || health === 'disk-full') void this.#checkpointer.run();
  }

  #warnOfSlowSync(path: string, tookMs: number): void {
    const facts = { path, tookMs: Math.round(tookMs) };
    this.#options.logger.warn(facts, 'slow disk: a sync took more than a second');
  }
}
