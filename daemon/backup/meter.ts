/**
 * How far a backup has come, and whether it is to go on: written by its thread and read by the
 * main thread, and the other way round, without a message.
 *
 * @module
 */
import type { WireBackupProgress } from '../../shared/protocol.js';
import { FailureError } from '../workers/failure.js';

const IS_CANCELLED = 0;
const FILES = 1;
const BYTES = 2;
const BYTES_TOTAL = 3;
const LENGTH = 4;

/** The code of the failure of a backup that was cancelled. */
export const CANCELLED = 'CANCELLED';

/** Both threads have one over the same memory. */
export class Meter {
  readonly memory: SharedArrayBuffer;
  readonly #values: BigInt64Array;

  constructor(
    memory: SharedArrayBuffer = new SharedArrayBuffer(LENGTH * BigInt64Array.BYTES_PER_ELEMENT),
  ) {
    this.memory = memory;
    this.#values = new BigInt64Array(memory);
  }

  get isCancelled(): boolean {
    return Atomics.load(this.#values, IS_CANCELLED) !== 0n;
  }

  get progress(): WireBackupProgress {
    const [files, bytes, bytesTotal] = [FILES, BYTES, BYTES_TOTAL].map((at) =>
      Number(Atomics.load(this.#values, at)),
    ) as [number, number, number];
    // Files that have grown since they were counted.
    return { files, bytes, bytesTotal: Math.max(bytes, bytesTotal) };
  }

  /** The backup stops at its next step. */
  cancel(): void {
    Atomics.store(this.#values, IS_CANCELLED, 1n);
  }

  /** So many more bytes are to be copied. */
  expect(bytes: number): void {
    Atomics.add(this.#values, BYTES_TOTAL, BigInt(bytes));
  }

  /** So many bytes were copied. */
  copied(bytes: number): void {
    Atomics.add(this.#values, BYTES, BigInt(bytes));
  }

  /** A file more, or one fewer, is in the copy. */
  counted(files: 1 | -1): void {
    Atomics.add(this.#values, FILES, BigInt(files));
  }

  /** Called between the steps of the copying; throws when it was cancelled. */
  check(): void {
    if (!this.isCancelled) return;
    const message = 'the backup was cancelled';
    throw new FailureError({ phase: 'write', code: CANCELLED, path: '', message });
  }
}
