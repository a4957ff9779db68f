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
import { fstatSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { StorageFailedError, StorageFullError } from '../../shared/errors.js';
import { encodeFrameOnDisk, FRAME_HEADER_BYTES, frameLength } from '../storage/frame-format.js';
import type { DeletionPlan } from '../streams/deletion-plan.js';
import type { FileTable } from '../streams/file-table.js';
import type { JournalFile } from '../streams/journal-file.js';
import type { Stream } from '../streams/stream.js';
import type { CommitResult, CommitTask, FileWritten } from '../workers/commit-task.js';
import { type Failure, isNoRoom } from '../workers/failure.js';
import { FilesBehind } from './files-behind.js';
import type { Lane } from './lanes.js';
import type { LogTail } from './log-tail.js';
import type { AppendOperation, Operation } from './operations.js';
import type { Retries } from './retries.js';
import { Batch, type SealedEvent } from './seal.js';
import { sealAdoption, sealDeletion } from './seal-others.js';

const PROBE_MS = 200;

/** Whether appends are taken, and if not, why. */
export type CommitHealth = 'ok' | 'log-full' | 'files-behind' | 'failed';

/** What the committer needs of the streams. */
export interface StreamSource {
  /** Opens the file for appending, or notes why not, and then calls `kick`. */
  prepareFile(stream: Stream, fileName: string): void;
  /** Reads the stream anew, for its files are not what they were. */
  reload(stream: Stream): void;
  /** The stream's state is no longer what the catalog knows. */
  changed(stream: Stream): void;
  /** A deletion is durable in the log: moves the files to the trash. */
  remove(stream: Stream, deletion: StreamDeletion): Promise<Failure | null>;
}

/** A deletion that is durable in the log. */
export interface StreamDeletion extends DeletionPlan {
  readonly position: number;
  /** The run, or null for the whole stream. */
  readonly runId: string | null;
}

export interface CommitterOptions {
  readonly log: LogTail;
  readonly lane: Lane<CommitTask, CommitResult>;
  readonly files: FileTable;
  readonly retries: Retries;
  readonly streams: StreamSource;
  readonly epoch: number;
  /** The last position of the log, and the next one to give: they are no neighbours after a crash. */
  readonly lastPosition: number;
  readonly nextPosition: number;
  readonly commitBytesMax: number;
  /** Told of a failure after which nothing may be acknowledged any more. */
  readonly onFatal: (failure: Failure) => void;
  /** Told of each durable batch. */
  readonly onCommitted: () => void;
  readonly onHealth: (health: CommitHealth, reason: string) => void;
}

/** Counts what the committer did. */
export interface CommitCounts {
  appends: number;
  events: number;
  commits: number;
  logSyncs: number;
  directorySyncs: number;
}

interface FileLines {
  readonly file: JournalFile;
  readonly events: SealedEvent[];
}

/** The committer. */
export class Committer {
  readonly counts: CommitCounts = {
    appends: 0,
    events: 0,
    commits: 0,
    logSyncs: 0,
    directorySyncs: 0,
  };
  readonly #options: CommitterOptions;
  readonly #behind: FilesBehind;
  #queue: Operation[] = [];
  #state: 'idle' | 'committing' | 'failed' = 'idle';
  #health: CommitHealth = 'ok';
  #reason = '';
  #lastPosition: number;
  #nextPosition: number;
  #idle: (() => void)[] = [];
  #probe: NodeJS.Timeout | null = null;

  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#lastPosition = options.lastPosition;
    this.#nextPosition = options.nextPosition;
    this.coveredPosition = options.lastPosition;
    this.#behind = new FilesBehind(options.files, options.streams);
  }

  get health(): CommitHealth {
    return this.#health;
  }

  /** The last position that is durable. */
  get frontier(): number {
    return this.#lastPosition;
  }

  get nextPosition(): number {
    return this.#nextPosition;
  }

  /** Operations that wait. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Takes an operation; its promise is settled when its outcome is known. */
  enqueue(operation: Operation): void {
    if (this.#state === 'failed') {
      operation.settle.reject(
        new StorageFailedError('the daemon is stopping after a storage failure', 'not-committed'),
      );
      return;
    }
    this.#queue.push(operation);
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

  /** Lines of a recovered file that had no room yet. */
  restoreBehind(stream: Stream, file: JournalFile): void {
    this.#behind.add(stream, file);
    this.#setHealth('files-behind', `${file.path} has no room`);
  }

  /** Tries again what had no room, now. */
  async retryRoom(): Promise<void> {
    if (this.#health !== 'ok' && this.#health !== 'failed') this.kick();
    await this.idle();
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

  /** Stops probing for room. */
  close(): void {
    if (this.#probe !== null) clearTimeout(this.#probe);
    this.#probe = null;
  }

  async #work(): Promise<void> {
    await this.#probeRoom();
    while (this.#isWorking()) {
      const sealed = this.#seal();
      if (sealed === null) break;
      await this.#commit(sealed.batch, sealed.operations);
    }
    if (this.#isWorking()) this.#state = 'idle';
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #isWorking(): boolean {
    return this.#state === 'committing';
  }

  /** Seals what is ready, in the order of arrival; null when nothing is. */
  #seal(): { readonly batch: Batch; readonly operations: readonly SealedOperation[] } | null {
    const batch = new Batch(this.#nextPosition, this.#options.retries, Date.now() * 1000);
    const operations: SealedOperation[] = [];
    const waiting: Operation[] = [];
    const blocked = new Set<Stream>();
    let full = false;
    for (const operation of this.#queue) {
      full ||= this.#isFull(batch, operation);
      if (
        full ||
        operation.streams.some((stream) => blocked.has(stream)) ||
        !this.#isReady(operation, batch)
      ) {
        waiting.push(operation);
        for (const stream of operation.streams) blocked.add(stream);
        continue;
      }
      const settle = this.#sealOne(operation, batch);
      if (settle !== null) operations.push({ operation, settle });
      // A deletion or adoption changes what later operations are sealed against.
      if (operation.kind !== 'append') blocked.add(operation.streams[0]);
    }
    this.#queue = waiting;
    return operations.length === 0 ? null : { batch, operations };
  }

  #isFull(batch: Batch, operation: Operation): boolean {
    const more = operation.kind === 'append' ? operation.bytes : 0;
    return batch.payload.length > 0 && batch.payload.length + more > this.#options.commitBytesMax;
  }

  /** Whether an operation can be sealed now; if not, what it waits for has been set going. */
  #isReady(operation: Operation, batch: Batch): boolean {
    if (operation.kind === 'adopt') return true;
    for (const stream of operation.streams) {
      if (stream.state.kind === 'failed') continue;
      if (stream.state.kind !== 'ready') return false;
    }
    if (operation.kind === 'delete') return !batch.touches(operation.streams);
    if (this.#health !== 'ok') return true;
    return operation.events.every(({ stream, fileName }) =>
      this.#isFileReady(stream, fileName, batch),
    );
  }

  #isFileReady(stream: Stream, fileName: string, batch: Batch): boolean {
    if (stream.state.kind === 'failed') return true;
    const { streams } = this.#options;
    const file = stream.fileNamed(fileName);
    if (file.fd === null) {
      if (file.openError !== null) return true;
      streams.prepareFile(stream, fileName);
      return false;
    }
    if (batch.hasFile(file)) return true;
    const { size, nlink } = fstatSync(file.fd);
    if (size === file.size && nlink > 0) return true;
    streams.reload(stream);
    return false;
  }

  /** Seals one operation; null when it was answered at once. */
  #sealOne(operation: Operation, batch: Batch): SealedOperation['settle'] | null {
    const failed = operation.streams.find(({ state }) => state.kind === 'failed');
    if (failed?.state.kind === 'failed') {
      operation.settle.reject(failed.state.error);
      return null;
    }
    if (operation.kind === 'adopt') return sealAdoption(operation, batch);
    if (operation.kind === 'delete') return sealDeletion(operation, batch, this.#options.streams);
    return this.#sealAppend(operation, batch);
  }

  #sealAppend(operation: AppendOperation, batch: Batch): SealedOperation['settle'] | null {
    const refused = this.#refusal(operation);
    if (refused !== null) {
      operation.settle.reject(refused);
      return null;
    }
    const rests = batch.touches(operation.streams);
    const sealing = batch.append(operation);
    if (sealing.kind !== 'sealed') this.#discardFiles(operation, batch);
    const answer =
      sealing.kind === 'refused'
        ? () => operation.settle.reject(sealing.error)
        : () => operation.settle.resolve(sealing.result);
    // What rests on an event that is not durable yet waits until it is.
    if (sealing.kind === 'sealed' || rests)
      return { done: answer, isAppend: sealing.kind === 'sealed' };
    answer();
    return null;
  }

  #refusal(operation: AppendOperation): Error | null {
    if (this.#health !== 'ok') {
      return new StorageFullError(
        `no room on the disk (${this.#health}): ${this.#reason}; free some, the daemon goes on by itself`,
      );
    }
    for (const { stream, fileName } of operation.events) {
      const file = stream.fileNamed(fileName);
      const { openError } = file;
      file.openError = null;
      if (openError !== null) return openError;
    }
    return null;
  }

  /** Removes the files that were created for a refused append and for nothing else. */
  #discardFiles(operation: AppendOperation, batch: Batch | null): void {
    for (const { stream, fileName } of operation.events) {
      const file = stream.fileNamed(fileName);
      if (batch?.hasFile(file) !== true) this.#options.files.discard(file);
    }
  }

  async #commit(batch: Batch, operations: readonly SealedOperation[]): Promise<void> {
    const { payload } = batch;
    if (payload.length === 0) {
      for (const { settle } of operations) settle.done();
      return;
    }
    const { log, epoch, lane } = this.#options;
    const length = frameLength(payload.length);
    const onlySmall = operations.every(({ operation }) => operation.kind !== 'append');
    const noRoom = await log.reserve(length, payload.firstPosition, onlySmall);
    if (noRoom !== null) return this.#refuse(operations, noRoom);
    const header = {
      epoch,
      firstPosition: payload.firstPosition,
      lastPosition: payload.nextPosition - 1,
      frontier: this.frontier,
    };
    const frame = encodeFrameOnDisk(header, payload.view());
    const lines = this.#linesByFile(batch);
    const files = lines.map(({ file, events }) => ({
      fd: file.fd as number,
      path: file.path,
      expectedSize: file.size,
      needsLf: file.needsLf,
      places: joined(events),
    }));
    const result = await lane.run({ kind: 'commit', log: { ...log.place(), frame }, files });
    if (result.kind !== 'commit') throw new Error('the commit lane answered another task');
    if (!this.#isWorking()) {
      // Something else failed meanwhile: what this batch came to is for recovery to say.
      for (const { operation } of operations)
        operation.settle.reject(this.#unknown('the daemon is stopping'));
      return;
    }
    if (result.logFailure !== null) return this.#logFailed(operations, result.logFailure);
    log.advance(length, payload.nextPosition - 1);
    this.counts.logSyncs += 1;
    this.#lastPosition = payload.nextPosition - 1;
    this.#nextPosition = payload.nextPosition;
    const lost = result.files.find((file) => !file.ok && !isNoRoom(file.failure));
    if (lost !== undefined && !lost.ok) return this.#fail(lost.failure, operations);
    this.#apply(lines, result.files, frame);
    batch.remember();
    this.counts.commits += 1;
    await this.#settle(operations);
    this.#options.onCommitted();
  }

  async #settle(operations: readonly SealedOperation[]): Promise<void> {
    for (const { operation, settle } of operations) {
      if (settle.isAppend === true && operation.kind === 'append') {
        this.counts.appends += 1;
        this.counts.events += operation.events.length;
      }
      if (settle.after === undefined) settle.done();
    }
    const deletions = operations.filter(({ settle }) => settle.after !== undefined);
    for (const [at, { settle }] of deletions.entries()) {
      if (settle.after === undefined) continue;
      const failure = await settle.after();
      if (failure !== null) return this.#fail(failure, deletions.slice(at));
      settle.done();
    }
  }

  #linesByFile(batch: Batch): FileLines[] {
    const byFile = new Map<JournalFile, FileLines>();
    const nowMs = batch.nowMs;
    for (const event of batch.events) {
      const file = event.target.file(event.fileName) as JournalFile;
      const lines = byFile.get(file);
      if (lines === undefined) {
        byFile.set(file, { file, events: [event] });
        this.#options.files.markDirty(file, nowMs);
      } else lines.events.push(event);
    }
    return [...byFile.values()];
  }

  /** The batch is durable: takes its events into their streams. */
  #apply(lines: readonly FileLines[], results: readonly FileWritten[], frame: Uint8Array): void {
    const offsets = new Map<SealedEvent, number>();
    const changed = new Set<Stream>();
    const foreign = new Set<Stream>();
    for (const [at, { file, events }] of lines.entries()) {
      const written = results[at] as FileWritten;
      const start = this.#applyFile(file, events, { written, frame });
      let offset = start;
      for (const event of events) {
        offsets.set(event, offset);
        offset += event.line.length + 1;
        changed.add(event.target);
      }
      const [first] = events;
      if (written.ok && written.foreign && first !== undefined) foreign.add(first.target);
      if (!written.ok && first !== undefined) this.#behind.add(first.target, file);
    }
    const all = lines.flatMap(({ events }) => events).sort((a, b) => a.position - b.position);
    for (const event of all) {
      const { target, stream, seq, kind, createdAt, createdAtUs } = event;
      target.generation = stream.generation;
      const file = target.file(event.fileName) as JournalFile;
      target.add({
        seq,
        file,
        offset: offsets.get(event) as number,
        length: event.line.length,
        kind,
        createdAt,
        createdAtUs,
      });
    }
    for (const stream of changed) this.#options.streams.changed(stream);
    for (const stream of foreign) this.#options.streams.reload(stream);
    if (this.#behind.size > 0) this.#setHealth('files-behind', this.#behind.describe());
  }

  /** Notes where a file's lines went, or that they wait; returns the offset of the first. */
  #applyFile(
    file: JournalFile,
    events: readonly SealedEvent[],
    done: { readonly written: FileWritten; readonly frame: Uint8Array },
  ): number {
    const { written, frame } = done;
    const last = events.at(-1) as SealedEvent;
    const lastLine = { length: last.line.length + 1, checksum: crc32(last.line) };
    const length = events.reduce((sum, { line }) => sum + line.length + 1, 0);
    if (written.ok && !written.foreign) {
      file.extend({ at: written.at, length, lineCount: events.length, lastLine });
      return written.at;
    }
    file.unmarkedFrom ??= (events[0] as SealedEvent).position;
    if (written.ok) {
      file.size = written.size;
      return written.at;
    }
    file.size = written.size;
    const bytes = Buffer.concat(joined(events).map(([start, end]) => frame.subarray(start, end)));
    const at = file.size + (file.needsLf ? 1 : 0);
    file.behind = { at, bytes, lineCount: events.length, lastLine };
    return at;
  }

  /** There is no room in the log: appends are refused, the rest tries again. */
  #refuse(operations: readonly SealedOperation[], failure: Failure): void {
    if (failure.phase === 'sync') return this.#fail(failure, operations);
    this.#setHealth('log-full', failure.message);
    const error = isNoRoom(failure)
      ? new StorageFullError(`no room for the commit log: ${failure.message}; nothing was written`)
      : new StorageFailedError(
          `the commit log cannot be written: ${failure.message}; nothing was written`,
          'not-committed',
        );
    const again: Operation[] = [];
    for (const { operation } of operations) {
      if (operation.kind === 'append') {
        this.#discardFiles(operation, null);
        operation.settle.reject(error);
      } else if (operations.every((one) => one.operation.kind !== 'append')) {
        // It had the reserve to itself and that was not enough.
        operation.settle.reject(error);
      } else again.push(operation);
    }
    this.#queue.unshift(...again);
  }

  #logFailed(operations: readonly SealedOperation[], failure: Failure): void {
    this.#options.log.retreat();
    this.#refuse(operations, failure);
  }

  /** Nobody can say any more what is durable: nothing is acknowledged from here on. */
  #fail(failure: Failure, operations: readonly SealedOperation[] = []): void {
    this.#state = 'failed';
    this.#setHealth('failed', failure.message);
    for (const { operation } of operations)
      operation.settle.reject(this.#unknown(`${failure.path}: ${failure.message}`));
    for (const operation of this.#queue.splice(0)) {
      operation.settle.reject(new StorageFailedError(failure.message, 'not-committed'));
    }
    this.#options.onFatal(failure);
  }

  #unknown(why: string): StorageFailedError {
    return new StorageFailedError(
      `${why}; the daemon stops and recovers, ask again after its restart`,
      'unknown',
    );
  }

  async #probeRoom(): Promise<void> {
    if (this.#health === 'log-full') {
      const { log } = this.#options;
      let failure = await log.reserve(frameLength(0), this.#nextPosition, false);
      if (failure?.phase === 'sync') return this.#fail(failure);
      // A file that cannot grow is left behind once nothing in it is needed.
      if (failure !== null && this.#abandonable()) {
        log.abandon();
        failure = await log.reserve(frameLength(0), this.#nextPosition, false);
      }
      if (failure === null) this.#setHealth('ok', '');
    }
    if (this.#behind.size > 0) {
      const failure = await this.#behind.retry(this.#options.lane);
      if (failure !== null) return this.#fail(failure);
      if (this.#behind.size === 0) this.#setHealth('ok', '');
    }
  }

  /** Set by the checkpointer: whether everything in the open segment is in the catalog. */
  coveredPosition = 0;

  #abandonable(): boolean {
    return this.coveredPosition >= this.frontier && this.frontier > 0;
  }

  #setHealth(health: CommitHealth, reason: string): void {
    this.#reason = reason;
    if (this.#health !== health) {
      this.#health = health;
      this.#options.onHealth(health, reason);
    }
    if ((health === 'log-full' || health === 'files-behind') && this.#probe === null) {
      this.#probe = setTimeout(() => {
        this.#probe = null;
        this.kick();
        if (this.#health !== 'ok') this.#setHealth(this.#health, this.#reason);
      }, PROBE_MS);
    }
  }
}

/** An operation of a batch and how it is answered when the batch is durable. */
export interface SealedOperation {
  readonly operation: Operation;
  readonly settle: {
    /** Answers the caller. */
    readonly done: () => void;
    /** What has to be done before the answer, once the batch is durable. */
    readonly after?: () => Promise<Failure | null>;
    readonly isAppend?: boolean;
  };
}

/** The places of a file's lines in the frame, neighbours joined. */
function joined(events: readonly SealedEvent[]): (readonly [number, number])[] {
  const places: (readonly [number, number])[] = [];
  for (const { place } of events) {
    const [start, end] = [place[0] + FRAME_HEADER_BYTES, place[1] + FRAME_HEADER_BYTES];
    const last = places.at(-1);
    if (last !== undefined && last[1] === start) places[places.length - 1] = [last[0], end];
    else places.push([start, end]);
  }
  return places;
}
