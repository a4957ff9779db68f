/**
 * Backups: copies of the journal directory as it is at one position, made while it is in use.
 *
 * What is copied is the state of a checkpoint. Passes copy all files while everything goes on.
 * Then, with deletions and repairs waiting, a checkpoint says what it covers, its catalog is
 * copied, a last pass copies what has changed, and what the daemon wrote to files meanwhile is cut
 * off the copies. Files only grow then, so each copy is its file as it was at the checkpoint, with
 * what other programs appended since.
 *
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import {
  DrainingError,
  InvalidArgumentError,
  OverloadedError,
  StorageFailedError,
  StorageFullError,
} from '../../shared/errors.js';
import {
  BACKUP_CLOSE_MS_MAX,
  BACKUP_HOLD_MS_MAX,
  BACKUP_LAST_PASS_BYTES,
  BACKUP_PASSES_MAX,
  roomLimits,
} from '../../shared/limits.js';
import type { WireBackup, WireBackupProgress } from '../../shared/protocol.js';
import type { Checkpointer } from '../commit/checkpointer.js';
import type { Committer } from '../commit/committer.js';
import { Lane } from '../commit/lanes.js';
import type { LogTail } from '../commit/log-tail.js';
import type { MeasuredRoom } from '../commit/room-watch.js';
import type { Layout } from '../storage/layout.js';
import type { FileTable } from '../streams/file-table.js';
import type { StreamRepairs } from '../streams/stream-repairs.js';
import type { BackupStep, BackupTask } from '../workers/backup.worker.js';
import type { Failure } from '../workers/failure.js';
import type { LogExtent } from './directory-copy.js';
import { CANCELLED, Meter } from './meter.js';

export interface BackupsOptions {
  readonly layout: Layout;
  readonly logger: Logger;
  readonly log: LogTail;
  readonly checkpointer: Checkpointer;
  readonly store: {
    readonly files: FileTable;
    readonly committer: Committer;
    readonly repairs: StreamRepairs;
    readonly room: MeasuredRoom;
  };
}

/** A backup under way. */
export interface Backup {
  /** Rejects when there is none, and nothing is left of it. */
  readonly done: Promise<WireBackup>;
  readonly progress: WireBackupProgress;
  /** Stops it, unless it is all but done. */
  cancel(): void;
}

const STOPPING =
  'the daemon is stopping; what was copied stays as a .partial folder until the next backup there';

/** The backups of a directory, one at a time. */
export class Backups {
  readonly #options: BackupsOptions;
  #underWay: (Backup & { readonly over: Promise<void> }) | null = null;
  #isClosed = false;

  constructor(options: BackupsOptions) {
    this.#options = options;
  }

  /**
   * Begins a backup.
   *
   * @param folder where it is to be: a path of nothing, or of an empty folder
   * @throws OverloadedError while there is another one
   */
  begin(folder: string): Backup {
    if (this.#isClosed) throw new DrainingError(STOPPING);
    if (this.#underWay !== null) {
      throw new OverloadedError('another backup is under way: try again when it is done');
    }
    const meter = new Meter();
    const run = new BackupRun(this.#options, meter, () => this.#isClosed);
    const done = run.make(folder);
    const over = done
      .catch(() => undefined)
      .then(() => run.cleared)
      .finally(() => {
        this.#underWay = null;
      });
    const backup = {
      done,
      over,
      get progress() {
        return meter.progress;
      },
      cancel: () => meter.cancel(),
    };
    this.#underWay = backup;
    return backup;
  }

  /** Begins none any more and cancels the one under way; waits for it, unless its disk hangs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#underWay === null) return;
    this.#underWay.cancel();
    await within(BACKUP_CLOSE_MS_MAX, this.#underWay.over);
  }
}

/** What the files are copied for: the position up to which the copy reaches, and the log to there. */
interface Moment {
  readonly position: number;
  readonly log: readonly LogExtent[];
}

/** What a copy was brought up to, and how long that kept others waiting. */
interface Held {
  readonly position: number;
  readonly heldMs: number;
}

/** The disk of the copy hangs. */
class HoldTooLongError extends StorageFailedError {
  constructor() {
    const why = `the last pass took longer than ${BACKUP_HOLD_MS_MAX} ms, and deletions wait for it`;
    super(`the backup failed: ${why}; try a faster disk, or a quieter hour`, 'not-committed');
  }
}

class BackupRun {
  readonly #options: BackupsOptions;
  readonly #meter: Meter;
  readonly #isStopping: () => boolean;
  readonly #lane = new Lane<BackupTask, BackupStep>('backup.worker.js', () => undefined);
  /** Resolves when nothing of it goes on any more, however it ended. */
  cleared: Promise<void> = Promise.resolve();

  constructor(options: BackupsOptions, meter: Meter, isStopping: () => boolean) {
    this.#options = options;
    this.#meter = meter;
    this.#isStopping = isStopping;
  }

  async make(folder: string): Promise<WireBackup> {
    try {
      const made = await this.#copy(folder);
      await this.#lane.close();
      this.#options.logger.info(made, 'a backup was made');
      return made;
    } catch (error) {
      this.cleared = this.cleared.then(() => this.#clear(folder, (error as Error).message));
      // A thread that hangs in its disk clears up when it comes back.
      if (!(error instanceof HoldTooLongError)) await this.cleared;
      throw error;
    }
  }

  async #copy(folder: string): Promise<WireBackup> {
    const { layout, store } = this.#options;
    const { room } = store;
    const began = performance.now();
    const begun = await this.#step({
      kind: 'begin',
      layout,
      folder,
      meter: this.#meter.memory,
      keptBytes: roomLimits(room.size, room.reserve).lowBelowBytes,
    });
    await this.#passes();
    const { position, heldMs } = await this.#lastPass();
    const { bytes } = await this.#step({ kind: 'finish' });
    const { files } = this.#meter.progress;
    const tookMs = Math.round(performance.now() - began);
    return { folder: begun.folder, files, bytes, position, heldMs, tookMs };
  }

  async #clear(folder: string, reason: string): Promise<void> {
    const notRemoved = await this.#abandon();
    await this.#lane.close();
    this.#options.logger.warn({ folder, reason, notRemoved }, 'a backup failed');
  }

  /** Removes what was copied; a daemon that stops has no time for that, and leaves it marked. */
  async #abandon(): Promise<string | undefined> {
    if (this.#isStopping()) return 'the daemon is stopping';
    try {
      const left = await this.#lane.run({ kind: 'abandon' });
      return left.kind === 'failed' ? left.failure.message : undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Copies everything while everything goes on, until little is left for the last pass. */
  async #passes(): Promise<void> {
    for (let count = 1; ; count += 1) {
      const { bytes } = await this.#step({ kind: 'pass', log: this.#options.log.extents });
      if (count > 1 && bytes <= BACKUP_LAST_PASS_BYTES) return;
      if (count === BACKUP_PASSES_MAX) {
        const why = `pass ${count} still found ${bytes} bytes: the journals grow faster than they are copied`;
        throw new OverloadedError(`${why}; try again at a quieter hour, or to a faster disk`);
      }
    }
  }

  /** The last pass, for which deletions and repairs wait; not for ever, should a disk hang. */
  async #lastPass(): Promise<Held> {
    const holding = this.#hold();
    const held = await within(BACKUP_HOLD_MS_MAX, holding);
    if (held !== 'late') return held;
    this.#meter.cancel();
    this.#letGo();
    this.cleared = holding.then(
      () => undefined,
      () => undefined,
    );
    throw new HoldTooLongError();
  }

  async #hold(): Promise<Held> {
    const { checkpointer, store } = this.#options;
    const { committer, files } = store;
    const began = performance.now();
    files.areHeld = true;
    try {
      const { position, log } = await this.#checkpoint();
      await this.#step({ kind: 'catalog' });
      checkpointer.goOn();
      await this.#step({ kind: 'last-pass', log });
      // What the batch in flight has written may be in the copies already.
      await committer.settled();
      await this.#step({ kind: 'cut', firstWrites: files.firstWrites.end() });
      return { position, heldMs: Math.round(performance.now() - began) };
    } finally {
      this.#letGo();
    }
  }

  #letGo(): void {
    const { checkpointer, store } = this.#options;
    const { committer, files } = store;
    files.firstWrites.end();
    checkpointer.letGo();
    files.areHeld = false;
    committer.kick();
  }

  /** Waits for what moves files, then runs the checkpoint whose state is copied. */
  async #checkpoint(): Promise<Moment> {
    const { checkpointer, log, store } = this.#options;
    const { committer, repairs, files } = store;
    await committer.settled();
    await repairs.settled();
    let moment: Moment = { position: 0, log: [] };
    const failure = await checkpointer.hold((position) => {
      moment = { position, log: log.extents };
      files.firstWrites.begin();
    });
    if (failure !== null) throw this.#errorOf(failure);
    return moment;
  }

  async #step(task: BackupTask): Promise<Extract<BackupStep, { kind: 'done' }>> {
    if (this.#meter.isCancelled) throw this.#cancelled();
    const step = await this.#lane.run(task);
    switch (step.kind) {
      case 'done':
        return step;
      case 'refused':
        throw new InvalidArgumentError('folder', `${step.reason}; nothing was copied`);
      case 'failed':
        throw this.#errorOf(step.failure);
      default:
        return step satisfies never;
    }
  }

  #errorOf({ code, path, message }: Failure): Error {
    if (this.#isStopping() || code === 'CLOSED') return new DrainingError(STOPPING);
    if (code === CANCELLED) return this.#cancelled();
    const left = 'what was copied is removed, the journals are as they were';
    if (NO_ROOM.has(code)) {
      return new StorageFullError(`no room for the backup: ${path}: ${message}; ${left}`);
    }
    const why = CLOSED_TO_US.has(code)
      ? ', which the user of the daemon must be allowed to use'
      : '';
    return new StorageFailedError(
      `the backup failed at ${path}${why}: ${message}; ${left}`,
      'not-committed',
    );
  }

  #cancelled(): Error {
    if (this.#isStopping()) return new DrainingError(STOPPING);
    return new StorageFailedError(
      'the backup was cancelled; what was copied is removed',
      'not-committed',
    );
  }
}

const NO_ROOM: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
const CLOSED_TO_US: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS']);

/** Waits for what is under way, but no longer than that; no timer outlives the waiting. */
async function within<T>(timeoutMs: number, done: Promise<T>): Promise<T | 'late'> {
  const inTime = new AbortController();
  const late = sleep(timeoutMs, 'late' as const, { signal: inTime.signal });
  late.catch(() => undefined);
  try {
    return await Promise.race([done, late]);
  } finally {
    inTime.abort();
  }
}
