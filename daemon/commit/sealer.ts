/**
 * Takes what is ready from the queue and seals it into a batch, in the order of arrival: what is
 * not ready yet waits, and everything behind it on the same streams waits with it.
 *
 * @module
 */
import { fstatSync } from 'node:fs';
import { InvalidArgumentError, StorageFullError } from '../../shared/errors.js';
import type { FileTable } from '../streams/file-table.js';
import type { JournalFile } from '../streams/journal-file.js';
import type { Stream } from '../streams/stream.js';
import { classifyFile } from '../watch/change-table.js';
import type { Failure } from '../workers/failure.js';
import type { Health } from './health.js';
import { takesAppends } from './health-table.js';
import {
  type AdoptLinesOperation,
  type AppendOperation,
  addsEvents,
  type Operation,
} from './operations.js';
import type { Batch, Sealing } from './seal.js';
import { sealLines } from './seal-lines.js';
import { sealAdoption, sealDeletion } from './seal-others.js';
import type { StreamSource } from './stream-source.js';

/** How a sealed operation is answered when its batch is durable. */
export interface Answer {
  /** Answers the caller. */
  readonly done: () => void;
  /** What has to be done before the answer, once the batch is durable. */
  readonly after?: () => Promise<Failure | null>;
}

/** An operation of a batch. */
export interface SealedOperation extends Answer {
  readonly operation: Operation;
  /** Whether it added events, or only rests on what the batch holds. */
  readonly adds: boolean;
}

export interface SealerOptions {
  readonly streams: StreamSource;
  readonly files: FileTable;
  readonly health: Health;
  readonly commitBytesMax: number;
  /** Files that one append may touch. */
  readonly batchFilesMax: number;
}

/** Seals batches. */
export class Sealer {
  readonly #options: SealerOptions;

  constructor(options: SealerOptions) {
    this.#options = options;
  }

  /** Seals what is ready of the queue into the batch. */
  seal(
    queue: readonly Operation[],
    batch: Batch,
  ): { readonly sealed: readonly SealedOperation[]; readonly waiting: Operation[] } {
    const sealed: SealedOperation[] = [];
    const waiting: Operation[] = [];
    const blocked = new Set<Stream>();
    let isFull = false;
    for (const operation of queue) {
      isFull ||= this.#isFull(batch, operation);
      // An adoption is what those wait for that came before it.
      const isBlocked = isFull || (!isAdoption(operation) && isAnyOf(operation.streams, blocked));
      if (isBlocked || !this.#isReady(operation, batch)) {
        // The first in the queue gets all its files in the end, whatever else is opened meanwhile.
        if (waiting.length === 0 && operation.kind === 'append') this.#holdFiles(operation);
        waiting.push(operation);
        for (const stream of operation.streams) blocked.add(stream);
        continue;
      }
      const one = this.#sealOne(operation, batch);
      // What was answered at once changed nothing that others would have to wait for.
      if (one === null) continue;
      sealed.push(one);
      // A deletion, a repair or reading anew changes what later operations are sealed against.
      if (!addsEvents(operation)) blocked.add(operation.streams[0] as Stream);
    }
    return { sealed, waiting };
  }

  /** Removes the files that were created for a refused append and for nothing else. */
  discardFiles(operation: AppendOperation, batch: Batch | null): void {
    for (const { stream, fileName } of operation.events) {
      const file = stream.file(fileName);
      if (file !== undefined && batch?.lines.has(file) !== true) this.#options.files.discard(file);
    }
  }

  #holdFiles(operation: AppendOperation): void {
    for (const { stream, fileName } of operation.events) {
      const file = stream.file(fileName);
      if (file !== undefined) this.#options.files.hold(file);
    }
  }

  #isFull(batch: Batch, operation: Operation): boolean {
    const more =
      operation.kind === 'append' || operation.kind === 'adoptLines' ? operation.bytes : 0;
    return batch.payload.length > 0 && batch.payload.length + more > this.#options.commitBytesMax;
  }

  /** Whether an operation can be sealed now; if not, what it waits for has been set going. */
  #isReady(operation: Operation, batch: Batch): boolean {
    const movesFiles = operation.kind === 'delete' || operation.kind === 'repair';
    if (movesFiles && this.#options.files.areHeld) return false;
    if (operation.kind === 'adopt') return true;
    if (operation.kind === 'adoptLines') return this.#areTailsOpen(operation);
    let isReady = true;
    for (const { state } of operation.streams) {
      if (state.kind === 'failed') return true;
      if (state.kind !== 'ready') isReady = false;
    }
    if (!isReady) return false;
    if (operation.kind !== 'append') return !batch.touches(operation.streams);
    if (this.#hasTooManyFiles(operation) || !takesAppends(this.#options.health.health)) return true;
    // All are asked, so that all files are opened at once.
    for (const { stream, fileName } of operation.events) {
      if (!this.#isFileReady(stream, fileName, batch)) isReady = false;
    }
    return isReady;
  }

  /** What is adopted is synced by the next checkpoint, through a descriptor that can write it. */
  #areTailsOpen({ streams: [stream], tails }: AdoptLinesOperation): boolean {
    if (stream.state.kind !== 'ready') return true;
    return tails
      .map(({ file }) => {
        const isReady =
          file.fd !== null || file.openError !== null || stream.file(file.name) !== file;
        if (!isReady) this.#options.streams.prepareFile(stream, file.name);
        else this.#options.files.hold(file);
        return isReady;
      })
      .every((isReady) => isReady);
  }

  #isFileReady(stream: Stream, fileName: string, batch: Batch): boolean {
    const { streams } = this.#options;
    const file = stream.fileNamed(fileName);
    if (file.fd === null) {
      if (file.openError !== null) return true;
      streams.prepareFile(stream, fileName);
      return false;
    }
    if (batch.lines.has(file)) return true;
    const { dev, ino, size, nlink } = fstatSync(file.fd);
    const { action } = classifyFile(file, nlink === 0 ? null : { dev, ino, size });
    if (action === 'adopt') return this.#mayGoOn(stream, file);
    file.awaitedPass = null;
    // An empty file that was removed is known by nothing: what is written to it would be gone.
    if (action === 'none' && nlink > 0) return true;
    // What this batch adds to the stream would be missing in what is read now.
    if (!batch.touches([stream])) streams.reload(stream);
    return false;
  }

  /**
   * Whether an append may go to a file that has grown. Sessions are numbered here, so it may; who
   * writes to a run numbers its lines by itself, so they are adopted first, once.
   */
  #mayGoOn(stream: Stream, file: JournalFile): boolean {
    if (stream.name.journal === 'turns') return true;
    file.awaitedPass ??= this.#options.streams.adopt(stream);
    if (stream.passes < file.awaitedPass) return false;
    file.awaitedPass = null;
    return true;
  }

  /** Seals one operation; null when it was answered at once. */
  #sealOne(operation: Operation, batch: Batch): SealedOperation | null {
    switch (operation.kind) {
      case 'append':
        return this.#sealAppend(operation, batch);
      case 'delete': {
        const answer = sealDeletion(operation, batch, this.#options.streams);
        return answer === null ? null : { operation, adds: true, ...answer };
      }
      case 'adoptLines': {
        const answer = this.#sealLines(operation, batch);
        return answer === null ? null : { operation, adds: true, ...answer };
      }
      case 'adopt':
        return { operation, adds: true, ...sealAdoption(operation, batch) };
      case 'repair':
        operation.streams[0].state = { kind: 'repairing' };
        operation.settle.resolve();
        return null;
      default:
        return operation satisfies never;
    }
  }

  #sealLines(operation: AdoptLinesOperation, batch: Batch): Answer | null {
    const closed = operation.tails.find(({ file }) => file.openError !== null);
    const answer = closed === undefined ? sealLines(operation, batch) : null;
    if (answer === null) for (const { file } of operation.tails) this.#options.files.letGo(file);
    if (closed === undefined) return answer;
    // Reading it anew needs no descriptor that can write it.
    closed.file.openError = null;
    operation.settle.resolve('reload');
    return null;
  }

  #sealAppend(operation: AppendOperation, batch: Batch): SealedOperation | null {
    const { settle } = operation;
    const rests = batch.touches(operation.streams);
    // What was done before is answered so, whatever stands in the way of new appends.
    const sealing = batch.knownAppend(operation) ?? this.#sealNew(operation, batch);
    if (sealing.kind !== 'sealed') this.discardFiles(operation, batch);
    const done =
      sealing.kind === 'refused'
        ? () => settle.reject(sealing.error)
        : () => settle.resolve(sealing.result);
    // What rests on an event that is not durable yet waits until it is.
    if (sealing.kind === 'sealed' || rests) {
      return { operation, adds: sealing.kind === 'sealed', done };
    }
    done();
    return null;
  }

  #sealNew(operation: AppendOperation, batch: Batch): Sealing {
    const error = this.#refusal(operation);
    if (error !== null) return { kind: 'refused', error };
    this.#holdFiles(operation);
    return batch.append(operation);
  }

  #hasTooManyFiles({ events }: AppendOperation): boolean {
    const { batchFilesMax } = this.#options;
    if (events.length <= batchFilesMax) return false;
    return (
      new Set(events.map(({ stream, fileName }) => stream.fileNamed(fileName))).size > batchFilesMax
    );
  }

  #refusal(operation: AppendOperation): Error | null {
    for (const { state } of operation.streams) if (state.kind === 'failed') return state.error;
    const { health, reason } = this.#options.health;
    if (!takesAppends(health)) {
      return new StorageFullError(
        `no room on the disk (${health}): ${reason}; nothing was written, free some room or delete streams, and try again`,
      );
    }
    if (this.#hasTooManyFiles(operation)) {
      const { batchFilesMax } = this.#options;
      const why = `a batch may touch ${batchFilesMax} files, as many as can be open at once`;
      return new InvalidArgumentError(
        'events',
        `${why}; nothing was written, send smaller batches`,
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
}

function isAnyOf(streams: readonly Stream[], set: ReadonlySet<Stream>): boolean {
  if (set.size === 0) return false;
  for (const stream of streams) if (set.has(stream)) return true;
  return false;
}

function isAdoption({ kind }: Operation): boolean {
  return kind === 'adopt' || kind === 'adoptLines';
}
