/**
 * The committer: takes operations in the order in which they came, seals what is ready into a
 * batch, makes the batch durable, and only then tells anybody.
 *
 * Invariants: at most one batch is in flight; nothing is sealed meanwhile; what a batch adds to
 * a stream shows only when its frame is durable and its lines are written; operations on one
 * stream are sealed in the order of their arrival.
 *
 * @module
 */
import { StorageFailedError, StorageFullError } from '../../shared/errors.js';
import { SLOW_SYNC_MS } from '../../shared/limits.js';
import { encodeFrameOnDisk, frameLength } from '../storage/frame-format.js';
import type { FileTable } from '../streams/file-table.js';
import type { JournalFile } from '../streams/journal-file.js';
import type { Stream } from '../streams/stream.js';
import type { Hub } from '../subscriptions/hub.js';
import type { CommitResult, CommitTask } from '../workers/commit-task.js';
import { type Failure, isNoRoom } from '../workers/failure.js';
import { type Applied, applyBatch, linesByFile, lineTask, writtenOf } from './apply-batch.js';
import { CommitCounts } from './commit-counts.js';
import { FilesBehind } from './files-behind.js';
import { Health } from './health.js';
import type { CommitHealth, RoomHealth, WriteHealth } from './health-table.js';
import type { Lane } from './lanes.js';
import type { LogTail } from './log-tail.js';
import { addsEvents, type Operation } from './operations.js';
import type { Retries } from './retries.js';
import { Batch } from './seal.js';
import { type SealedOperation, Sealer } from './sealer.js';
import type { StreamSource } from './stream-source.js';

export interface CommitterOptions {
  readonly log: LogTail;
  readonly lane: Lane<CommitTask, CommitResult>;
  readonly files: FileTable;
  readonly retries: Retries;
  readonly streams: StreamSource;
  /** Told of each durable batch when its events are in their streams. */
  readonly hub: Hub;
  readonly epoch: number;
  /** The last position of the log, and the next one to give: they are no neighbours after a crash. */
  readonly lastPosition: number;
  readonly nextPosition: number;
  readonly commitBytesMax: number;
  readonly batchFilesMax: number;
  /** Told of a failure after which nothing may be acknowledged any more. */
  readonly onFatal: (failure: Failure) => void;
  /** Told of each durable batch. */
  readonly onCommitted: () => void;
  /** Told when the log has no room: a checkpoint may free some. */
  readonly onLogFull: () => void;
  /** Told of a sync of the log that took long. */
  readonly onSlowSync: (path: string, tookMs: number) => void;
  readonly onHealth: (health: CommitHealth, reason: string) => void;
}

/** The committer. */
export class Committer {
  readonly counts: CommitCounts = new CommitCounts();
  readonly #options: CommitterOptions;
  readonly #behind: FilesBehind;
  readonly #health: Health;
  readonly #sealer: Sealer;
  #queue: Operation[] = [];
  #state: 'idle' | 'committing' | 'failed' = 'idle';
  #lastPosition: number;
  #nextPosition: number;
  #coveredPosition: number;
  #idle: (() => void)[] = [];
  #writingSinceMs: number | null = null;
  #isFinishing = false;
  #finished: (() => void)[] = [];
  #settled: (() => void)[] = [];

  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#lastPosition = options.lastPosition;
    this.#nextPosition = options.nextPosition;
    this.#coveredPosition = options.lastPosition;
    this.#behind = new FilesBehind(options.files, options.streams);
    this.#health = new Health(options.onHealth, () => this.kick());
    this.#sealer = new Sealer({ ...options, health: this.#health });
  }

  get health(): CommitHealth {
    return this.#health.health;
  }

  /** Why the health is not `ok`; else empty. */
  get healthReason(): string {
    return this.#health.reason;
  }

  /** What writing met, whatever was measured of the disk's room. */
  get writes(): WriteHealth {
    return this.#health.writes;
  }

  /** The last position that is durable. */
  get frontier(): number {
    return this.#lastPosition;
  }

  /** The position that the next event takes. */
  get nextPosition(): number {
    return this.#nextPosition;
  }

  /** How long the commit in flight has been with the disk; 0 where there is none. */
  get writingMs(): number {
    return this.#writingSinceMs === null ? 0 : performance.now() - this.#writingSinceMs;
  }

  /** Operations that wait. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Takes an operation; its promise is settled when its outcome is known. */
  enqueue(operation: Operation): void {
    if (this.#state === 'failed') {
      const why = 'the daemon is stopping after a storage failure; nothing was written';
      operation.settle.reject(new StorageFailedError(why, 'not-committed'));
      return;
    }
    // What waits for a stream waits for its adoption too, so that goes first.
    if (operation.kind === 'adopt' || operation.kind === 'adoptLines')
      this.#queue.unshift(operation);
    else this.#queue.push(operation);
    this.kick();
  }

  /** Something that operations waited for may have happened. */
  kick(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'committing';
    // What else arrives in this turn of the event loop goes into the same batch.
    setImmediate(() => {
      this.#work().catch((error: unknown) => {
        const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
        this.#fail({ phase: 'write', code: 'INTERNAL', path: '', message });
      });
    });
  }

  /** This was measured of the disk's room. */
  measured(room: RoomHealth, reason: string): void {
    this.#health.measured(room, reason);
  }

  /** Lines of a recovered file that had no room yet. */
  restoreBehind(stream: Stream, file: JournalFile): void {
    this.#behind.add(stream, file);
    this.#health.set('files-behind', this.#behind.describe());
  }

  /** A checkpoint covers everything up to this position. */
  covered(position: number): void {
    this.#coveredPosition = position;
  }

  /**
   * Waits until all that is durable in the log is carried out; false if it never will be. A
   * checkpoint waits for it: it must not cover a deletion whose files are still being moved.
   */
  async finished(): Promise<boolean> {
    if (this.#isFinishing && this.#state !== 'failed')
      await new Promise<void>((resolve) => this.#finished.push(resolve));
    return this.#state !== 'failed';
  }

  /** Waits until the batch in flight is carried out and answered, or never will be. */
  async settled(): Promise<void> {
    if (this.#isWorking()) await new Promise<void>((resolve) => this.#settled.push(resolve));
  }

  /** Resolves when nothing is in flight and nothing that is ready waits. */
  async idle(): Promise<void> {
    if (this.#state !== 'committing') return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Another part of the daemon met a failure after which nothing may be acknowledged. */
  failNow(failure: Failure): void {
    if (this.#state !== 'failed') this.#fail(failure);
  }

  /** Stops looking for room. */
  close(): void {
    this.#health.close();
  }

  async #work(): Promise<void> {
    await this.#lookForRoom();
    while (this.#isWorking()) {
      const batch = new Batch(this.#nextPosition, this.#options.retries, Date.now() * 1000);
      const { sealed, waiting } = this.#sealer.seal(this.#queue, batch);
      this.#queue = waiting;
      if (sealed.length === 0) break;
      await this.#commit(batch, sealed);
      for (const resolve of this.#settled.splice(0)) resolve();
    }
    if (this.#isWorking()) this.#state = 'idle';
    for (const resolve of [...this.#settled.splice(0), ...this.#idle.splice(0)]) resolve();
  }

  #isWorking(): boolean {
    return this.#state === 'committing';
  }

  async #commit(batch: Batch, sealed: readonly SealedOperation[]): Promise<void> {
    const { payload } = batch;
    if (payload.length === 0) {
      for (const { done } of sealed) done();
      return;
    }
    // Those of deletions land when their files are gone, those of appends before the answers.
    const streams = new Set<Stream>();
    for (const { operation } of sealed) for (const stream of operation.streams) streams.add(stream);
    for (const stream of streams) stream.inFlight = true;
    try {
      await this.#write(batch, sealed);
    } finally {
      this.#land(streams);
    }
  }

  async #write(batch: Batch, sealed: readonly SealedOperation[]): Promise<void> {
    const { payload } = batch;
    const { log, epoch, lane, files } = this.#options;
    const length = frameLength(payload.length);
    const lastPosition = payload.nextPosition - 1;
    const useReserve = sealed.every(({ operation }) => !addsEvents(operation));
    const noRoom = await log.reserve(length, payload.firstPosition, useReserve);
    if (noRoom !== null) return this.#refuse(sealed, noRoom);
    const header = {
      epoch,
      firstPosition: payload.firstPosition,
      lastPosition,
      frontier: this.frontier,
    };
    const frame = encodeFrameOnDisk(header, payload.view());
    const lines = linesByFile(batch, files);
    const place = log.place();
    this.#writingSinceMs = performance.now();
    const result = await lane.run({
      kind: 'commit',
      log: { ...place, frame },
      lines: lineTask(lines),
    });
    this.#writingSinceMs = null;
    for (const { file } of lines) file.writing = false;
    if (result.kind !== 'commit') throw new Error('the commit lane answered another task');
    if (result.syncMs >= SLOW_SYNC_MS) this.#options.onSlowSync(place.path, result.syncMs);
    // Something else failed meanwhile: what this batch came to is for recovery to say.
    if (!this.#isWorking()) return this.#rejectUnknown(sealed, 'the daemon is stopping');
    if (result.logFailure !== null) {
      log.retreat();
      return this.#refuse(sealed, result.logFailure);
    }
    log.advance(length, lastPosition);
    this.#lastPosition = lastPosition;
    this.#nextPosition = payload.nextPosition;
    const written = writtenOf(lines, result, files.firstWrites);
    const lost = written.find((file) => !file.ok && !isNoRoom(file.failure));
    if (lost !== undefined && !lost.ok) return this.#fail(lost.failure, sealed);
    this.#apply(batch, applyBatch(batch, lines, written));
    this.#land(batch.streams);
    batch.remember();
    this.counts.committed(batch.events.length, length, result.syncMs);
    await this.#answer(sealed);
    this.#options.onCommitted();
  }

  #apply(batch: Batch, { events, changed, foreign, behind, bytes }: Applied): void {
    const { streams, hub } = this.#options;
    for (const stream of changed) streams.changed(stream);
    this.counts.applied(bytes, batch.adopted);
    for (const stream of foreign) streams.adopt(stream);
    for (const { stream, file } of behind) this.#behind.add(stream, file);
    if (behind.length > 0) this.#health.set('files-behind', this.#behind.describe());
    hub.publish({ events, removals: batch.removals, lastPosition: this.frontier });
  }

  /** What a batch adds to streams is in them, or never will be. */
  #land(streams: Iterable<Stream>): void {
    for (const stream of streams) if (stream.inFlight) this.#options.streams.landed(stream);
  }

  /** The batch is durable: answers its operations, those last that have more to be done. */
  async #answer(sealed: readonly SealedOperation[]): Promise<void> {
    const later: (SealedOperation & Required<Pick<SealedOperation, 'after'>>)[] = [];
    const nowMs = performance.now();
    for (const one of sealed) {
      const { operation, adds, after, done } = one;
      if (adds && operation.kind === 'append') this.counts.answered(operation, nowMs);
      if (after === undefined) done();
      else later.push({ ...one, after });
    }
    if (later.length === 0) return;
    this.#isFinishing = true;
    for (const [at, { after, done }] of later.entries()) {
      const failure = await after();
      if (failure !== null) return this.#fail(failure, later.slice(at));
      done();
    }
    this.#isFinishing = false;
    for (const resolve of this.#finished.splice(0)) resolve();
  }

  /** There is no room in the log: appends are refused, the rest tries again without them. */
  #refuse(sealed: readonly SealedOperation[], failure: Failure): void {
    if (failure.phase === 'sync') return this.#fail(failure, sealed);
    if (this.#health.writes === 'ok' && isNoRoom(failure)) this.#options.onLogFull();
    this.#health.set('log-full', failure.message);
    const error = isNoRoom(failure)
      ? new StorageFullError(`no room for the commit log: ${failure.message}; nothing was written`)
      : new StorageFailedError(
          `the commit log cannot be written: ${failure.message}; nothing was written`,
          'not-committed',
        );
    const hasAppends = sealed.some(({ operation }) => addsEvents(operation));
    const again: Operation[] = [];
    for (const { operation } of sealed) {
      if (operation.kind === 'append') this.#sealer.discardFiles(operation, null);
      // What had the reserve to itself, and found it too small, is refused as well.
      if (addsEvents(operation) || !hasAppends) operation.settle.reject(error);
      else again.push(operation);
    }
    this.#queue.unshift(...again);
  }

  /** Nobody can say any more what is durable: nothing is acknowledged from here on. */
  #fail(failure: Failure, sealed: readonly SealedOperation[] = []): void {
    this.#state = 'failed';
    this.#health.set('failed', failure.message);
    this.#rejectUnknown(sealed, `${failure.path}: ${failure.message}`);
    for (const operation of this.#queue.splice(0)) {
      const why = `${failure.message}; nothing was written`;
      operation.settle.reject(new StorageFailedError(why, 'not-committed'));
    }
    for (const resolve of [...this.#settled.splice(0), ...this.#finished.splice(0)]) resolve();
    this.#options.onFatal(failure);
  }

  #rejectUnknown(sealed: readonly SealedOperation[], why: string): void {
    const next = 'the daemon stops and recovers, ask again after its restart';
    const error = new StorageFailedError(`${why}; ${next}`, 'unknown');
    for (const { operation } of sealed) operation.settle.reject(error);
  }

  /** Ends the states of a full disk where there is room again. */
  async #lookForRoom(): Promise<void> {
    if (this.#health.writes === 'log-full') {
      const failure = await this.#lookForLogRoom();
      if (failure?.phase === 'sync') return this.#fail(failure);
      if (failure === null) this.#health.set(this.#behind.size > 0 ? 'files-behind' : 'ok', '');
    }
    if (this.#behind.size > 0) {
      const failure = await this.#behind.retry(this.#options.lane);
      if (failure !== null) return this.#fail(failure);
    }
    const caughtUp = this.#health.writes === 'files-behind' && this.#behind.size === 0;
    if (caughtUp) this.#health.set('ok', '');
  }

  async #lookForLogRoom(): Promise<Failure | null> {
    const { log } = this.#options;
    const length = frameLength(0);
    const failure = await log.reserve(length, this.#nextPosition, false);
    // A file that cannot grow is left behind once a checkpoint covers all that it holds.
    const isCovered = this.#coveredPosition >= this.frontier && this.frontier > 0;
    if (failure === null || failure.phase === 'sync' || !isCovered) return failure;
    log.abandon();
    return await log.reserve(length, this.#nextPosition, false);
  }
}
