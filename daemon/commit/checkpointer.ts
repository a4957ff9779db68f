/**
 * Checkpoints: make everything in the journal files durable and say so in the catalog, so that
 * the commit log behind it is no longer needed. On a lane of its own, never on the hot path.
 *
 * @module
 */
import { CHECKPOINT_AGE_MS, CHECKPOINT_LOG_BYTES } from '../../shared/limits.js';
import { Distribution, SECONDS } from '../metrics/distribution.js';
import type { Catalog } from '../storage/catalog.js';
import type { CatalogEnd } from '../storage/catalog-file.js';
import { type CatalogFrame, encodeCatalogFrame } from '../storage/catalog-format.js';
import { encodeFrameOnDisk } from '../storage/frame-format.js';
import type { Layout } from '../storage/layout.js';
import type { FileTable } from '../streams/file-table.js';
import type { CheckpointDone, CheckpointTask } from '../workers/checkpoint.worker.js';
import { type Failure, isNoRoom, type Result } from '../workers/failure.js';
import type { Committer } from './committer.js';
import type { Lane } from './lanes.js';
import type { LogTail } from './log-tail.js';
import type { Retries } from './retries.js';

const CATALOG_GROWTH = 2;
const CATALOG_BYTES_MIN = 1024 * 1024;

/** What a finished deletion left, to be removed once a catalog covers it. */
export interface Trash {
  readonly position: number;
  readonly path: string;
}

export interface CheckpointerOptions {
  readonly layout: Layout;
  readonly lane: Lane<CheckpointTask, Result<CheckpointDone>>;
  readonly log: LogTail;
  readonly files: FileTable;
  readonly catalog: Catalog;
  readonly retries: Retries;
  readonly committer: Committer;
  readonly epoch: number;
  readonly end: CatalogEnd;
  readonly dirtyFilesMax: number;
  readonly logRetentionBytes: number;
  /** False where the catalog file on disk is older than what recovery found. */
  readonly catalogIsCurrent: boolean;
  /** Trash that recovery could not empty. */
  readonly trash: readonly Trash[];
  /** Brings the catalog up to date with the streams in memory. */
  readonly refreshCatalog: () => void;
  readonly onFatal: (failure: Failure) => void;
  /** Told of each checkpoint that is durable. */
  readonly onDone: (facts: {
    readonly tookMs: number;
    readonly fileSyncs: number;
    readonly directorySyncs: number;
  }) => void;
  /** Told of a sync that took long. */
  readonly onSlowSync: (path: string, tookMs: number) => void;
}

/** Nothing begins any more: what is not durable is recovery's. */
const CLOSED: Failure = {
  phase: 'sync',
  code: 'CLOSED',
  path: '',
  message: 'the daemon is stopping',
};

/** Counts of what checkpoints synced, and when the last one was. */
export interface CheckpointCounts {
  checkpoints: number;
  fileSyncs: number;
  directorySyncs: number;
  /** Its beginning and end, in milliseconds since 1970. */
  last: { readonly began: number; readonly ended: number } | null;
  readonly seconds: Distribution;
}

/** Keeps the catalog and the log as a checkpoint left them, for a copy of both. */
interface Hold {
  /** Resolves when other checkpoints may begin; segments stay until the hold is over. */
  readonly mayGoOn: Promise<void>;
  readonly goOn: () => void;
}

/** Runs checkpoints, one at a time. */
export class Checkpointer {
  readonly counts: CheckpointCounts = {
    checkpoints: 0,
    fileSyncs: 0,
    directorySyncs: 0,
    last: null,
    seconds: new Distribution(SECONDS),
  };
  readonly #options: CheckpointerOptions;
  #end: CatalogEnd;
  #bytesWhenReplaced: number;
  #logBytesAtLast = 0;
  /** When the oldest write was that no checkpoint covers, and that the running one does not. */
  #uncoveredSinceMs: number | null = null;
  #laterSinceMs: number | null = null;
  #running: Promise<Failure | null> | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;
  #held: Hold | null = null;
  #isCurrent: boolean;
  #trash: Trash[];

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.#end = options.end;
    this.#bytesWhenReplaced = options.end.cursor;
    this.#isCurrent = options.catalogIsCurrent;
    this.#trash = [...options.trash];
  }

  /** Notes a finished deletion, whose trash may go once a catalog covers it. */
  addTrash(position: number, path: string): void {
    this.#trash.push({ position, path });
  }

  /** How long the oldest write waits that no checkpoint covers; 0 where all is covered. */
  get ageMs(): number {
    return this.#uncoveredSinceMs === null ? 0 : performance.now() - this.#uncoveredSinceMs;
  }

  /** Bytes of the log that a recovery would have to carry out. */
  get uncoveredBytes(): number {
    return this.#options.log.bytesWritten - this.#logBytesAtLast;
  }

  /** Starts a checkpoint if one is due; called after each commit. */
  consider(): void {
    const { files, dirtyFilesMax } = this.#options;
    if (this.#laterSinceMs === null) {
      this.#laterSinceMs = performance.now();
      this.#uncoveredSinceMs ??= this.#laterSinceMs;
    }
    const due = files.dirty.size >= dirtyFilesMax || this.uncoveredBytes >= CHECKPOINT_LOG_BYTES;
    if (due) void this.run();
    else this.#runLater();
  }

  /** Runs a checkpoint, or waits for the one that runs; null when it is durable. */
  run(): Promise<Failure | null> {
    this.#running ??= this.#checkpoint(false).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Runs a checkpoint that covers all that is durable now; null when it is. */
  async cover(): Promise<Failure | null> {
    // One that runs already may have begun before.
    await this.#running;
    return await this.run();
  }

  /**
   * Runs a checkpoint as `cover` does. From its instant on no other one begins until `goOn`, and
   * no segment of the log is deleted until `letGo`.
   *
   * @param atInstant called in the very step in which it is settled what is covered
   */
  async hold(atInstant: (covered: number) => void): Promise<Failure | null> {
    while (this.#running !== null) await this.#running;
    let goOn: () => void = () => undefined;
    const mayGoOn = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    this.#running = this.#checkpoint(false, (covered) => {
      this.#held = { mayGoOn, goOn };
      atInstant(covered);
    }).finally(() => {
      this.#running = null;
    });
    return await this.#running;
  }

  /** What was held of the catalog is not needed any more. */
  goOn(): void {
    this.#held?.goOn();
  }

  /** Nothing is held any more. */
  letGo(): void {
    this.goOn();
    this.#held = null;
  }

  /** The last checkpoint: nothing is in flight any more and nothing will follow. */
  async stop(): Promise<Failure | null> {
    await this.#running;
    const failure = await this.#checkpoint(true);
    this.close();
    return failure;
  }

  /** Begins no more of them; the one that runs is finished. */
  close(): void {
    this.#isClosed = true;
    this.#clearTimer();
  }

  #runLater(): void {
    if (this.#isClosed) return;
    this.#timer ??= setTimeout(() => void this.run(), CHECKPOINT_AGE_MS);
  }

  #clearTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #checkpoint(
    cleanStop: boolean,
    atInstant?: (covered: number) => void,
  ): Promise<Failure | null> {
    this.#clearTimer();
    await this.#held?.mayGoOn;
    const { layout, lane, log, files, catalog, retries, committer, epoch } = this.#options;
    if (!(await committer.finished()) || this.#isClosed) return CLOSED;
    const began = Date.now();
    // From here to the task everything is one instant: what is committed now is what is covered.
    this.#options.refreshCatalog();
    retries.forgetOld(Date.now());
    this.#laterSinceMs = null;
    const covered = committer.frontier;
    atInstant?.(covered);
    const logBytes = log.bytesWritten;
    const dirty = [...files.dirty].map((file) => ({
      file,
      fd: file.fd as number,
      path: file.path,
      writes: file.writes,
    }));
    const folders = files.takeDirtyFolders().sort((a, b) => b.length - a.length);
    const trash = this.#trash.filter(({ position }) => position <= covered);
    const changes = { ...catalog.takeChanges(), ...retries.takeChanges(), cleanStop };
    const header = {
      epoch,
      firstPosition: committer.nextPosition,
      lastPosition: covered,
      frontier: covered,
    };
    const frame = (content: CatalogFrame): Uint8Array =>
      encodeFrameOnDisk(header, encodeCatalogFrame(content));
    const mustReplace = this.#end.number === 0 || !this.#isCurrent;
    const replace =
      mustReplace ||
      this.#end.cursor > Math.max(CATALOG_BYTES_MIN, CATALOG_GROWTH * this.#bytesWhenReplaced);
    const letGo = files.keepOpen(dirty.map(({ fd }) => fd));
    const running = lane.run({
      layout,
      files: dirty.map(({ fd, path }) => ({ fd, path })),
      folders,
      epoch,
      end: this.#end,
      changes: frame(changes),
      everything: replace
        ? frame({ entries: catalog.all(), removed: [], ...retries.all(), cleanStop })
        : null,
      mustReplace,
      trash: trash.map(({ path }) => path),
    });
    const result = await running.finally(letGo);
    if (!result.ok) {
      catalog.giveBack(changes);
      retries.giveBack(changes);
      files.giveBackFolders(folders);
      if (!isNoRoom(result.failure)) this.#options.onFatal(result.failure);
      else this.#runLater();
      return result.failure;
    }
    this.#done(result.value, began);
    this.#uncoveredSinceMs = this.#laterSinceMs;
    files.synced(dirty, Date.now());
    this.#trash = this.#trash.filter((one) => !trash.includes(one));
    this.#logBytesAtLast = logBytes;
    committer.covered(covered);
    if (files.dirty.size > 0 && !cleanStop) this.consider();
    return await this.#trimLog(covered);
  }

  #done({ end, replaced, fileSyncs, directorySyncs, slow }: CheckpointDone, began: number): void {
    for (const { path, ms } of slow) this.#options.onSlowSync(path, ms);
    this.#end = end;
    this.#isCurrent = true;
    if (replaced) this.#bytesWhenReplaced = end.cursor;
    this.counts.checkpoints += 1;
    const ended = Date.now();
    this.counts.last = { began, ended };
    this.counts.seconds.record((ended - began) / 1000);
    this.counts.fileSyncs += fileSyncs;
    this.counts.directorySyncs += directorySyncs;
    this.#options.onDone({ tookMs: ended - began, fileSyncs, directorySyncs });
  }

  /** Deletes the oldest segments that nothing needs, beyond what is retained. */
  async #trimLog(covered: number): Promise<Failure | null> {
    const { log, catalog, logRetentionBytes } = this.#options;
    if (this.#held !== null) return null;
    const neededFrom = Math.min(covered + 1, catalog.behindFrom ?? Number.POSITIVE_INFINITY);
    const { closed } = log;
    let excess = log.bytesOnDisk - logRetentionBytes;
    let count = 0;
    for (const [at, segment] of closed.entries()) {
      const next = closed[at + 1]?.firstPosition ?? log.openSince ?? covered + 1;
      // One segment always stays: it shows that the log is as long as the catalog says.
      const isLast = at === closed.length - 1 && log.openSince === null;
      if (excess <= 0 || next > neededFrom || isLast) break;
      excess -= segment.bytes;
      count += 1;
    }
    const failure = await log.remove(count);
    if (failure !== null && !isNoRoom(failure)) this.#options.onFatal(failure);
    return failure;
  }
}
