/**
 * The messages between the committer and its worker thread. A task holds all that the worker
 * needs; its result says what came of each step.
 *
 * @module
 */
import type { FileScan } from '../storage/file-scan.js';
import type { Failure } from './failure.js';

/** Lines that go to one journal file. */
export interface FileWrite {
  /** Open for appending. */
  readonly fd: number;
  readonly path: string;
  /** The size at which the lines are expected to begin, an LF that is added first not counted. */
  readonly expectedSize: number;
  readonly needsLf: boolean;
  readonly bytes: Uint8Array;
}

/** What came of writing one file. */
export type FileWritten =
  | {
      readonly ok: true;
      /** Where the lines begin. */
      readonly at: number;
      /** The file's size behind them. */
      readonly size: number;
      /** Whether bytes were met that are not the daemon's. */
      readonly foreign: boolean;
    }
  | { readonly ok: false; readonly failure: Failure; readonly size: number };

/** The lines of one journal file, as they stand in a frame. */
export interface LinesInFrame extends Pick<FileWrite, 'fd' | 'expectedSize' | 'needsLf'> {
  /** Starts and ends in turn. */
  readonly places: ArrayLike<number>;
}

/** Moves of a deletion: the files go to a folder that gets its final name when it has them all. */
export interface TrashMove {
  readonly folder: string;
  readonly fileNames: readonly string[];
  /** Files that hold other runs' lines too: only those of this run are taken out. */
  readonly rewrites: readonly string[];
  readonly runId: string | null;
  readonly partial: string;
  readonly final: string;
  /** Folders to remove if they are empty, innermost first. */
  readonly emptied: readonly string[];
}

export type CommitTask =
  | {
      readonly kind: 'commit';
      readonly log: {
        readonly fd: number;
        readonly at: number;
        readonly frame: Uint8Array;
        readonly path: string;
      };
      /** The writes to journal files, see `packLines`. */
      readonly lines: Float64Array;
    }
  | { readonly kind: 'write'; readonly files: readonly FileWrite[] }
  | { readonly kind: 'trash'; readonly moves: TrashMove };

export type CommitResult =
  | {
      readonly kind: 'commit';
      /** Null when the frame is durable. */
      readonly logFailure: Failure | null;
      /** What came of each file, in the order of the task; see `readWritten`. */
      readonly written: Float64Array;
      /** The failures of files that were not written, in their order. */
      readonly failures: readonly Failure[];
      readonly writeMs: number;
      readonly syncMs: number;
    }
  | { readonly kind: 'write'; readonly files: readonly FileWritten[] }
  | {
      readonly kind: 'trash';
      readonly failure: Failure | null;
      readonly directorySyncs: number;
      /** What the rewritten files hold now. */
      readonly rewritten: readonly FileScan[];
    };

const LINES_HEAD = 4;

/**
 * Many files as one array of numbers: what crosses between threads costs by the object, and a
 * commit may touch a file for each of its events.
 */
export function packLines(files: readonly LinesInFrame[]): Float64Array {
  let length = 0;
  for (const { places } of files) length += LINES_HEAD + places.length;
  const packed = new Float64Array(length);
  let at = 0;
  for (const { fd, expectedSize, needsLf, places } of files) {
    packed[at] = fd;
    packed[at + 1] = expectedSize;
    packed[at + 2] = needsLf ? 1 : 0;
    packed[at + 3] = places.length;
    packed.set(places, at + LINES_HEAD);
    at += LINES_HEAD + places.length;
  }
  return packed;
}

/** The files that `packLines` took, in their order. */
export function* unpackLines(packed: Float64Array): Generator<LinesInFrame> {
  for (let at = 0; at < packed.length; ) {
    const places = at + LINES_HEAD;
    const end = places + (packed[at + 3] as number);
    yield {
      fd: packed[at] as number,
      expectedSize: packed[at + 1] as number,
      needsLf: packed[at + 2] === 1,
      places: packed.subarray(places, end),
    };
    at = end;
  }
}

const WRITTEN_LENGTH = 3;
const WRITTEN = 0;
const WRITTEN_BESIDE_FOREIGN = 1;
const NOT_WRITTEN = 2;

/** What came of many files, for the same reason as one array of numbers and what failed. */
export function packWritten(
  files: readonly FileWritten[],
): Pick<Extract<CommitResult, { kind: 'commit' }>, 'written' | 'failures'> {
  const written = new Float64Array(files.length * WRITTEN_LENGTH);
  const failures: Failure[] = [];
  for (const [nth, file] of files.entries()) {
    const at = nth * WRITTEN_LENGTH;
    written[at + 2] = file.size;
    if (file.ok) {
      written[at] = file.foreign ? WRITTEN_BESIDE_FOREIGN : WRITTEN;
      written[at + 1] = file.at;
    } else {
      written[at] = NOT_WRITTEN;
      failures.push(file.failure);
    }
  }
  return { written, failures };
}

/** What `packWritten` took, in its order. */
export function unpackWritten({
  written,
  failures,
}: ReturnType<typeof packWritten>): readonly FileWritten[] {
  const files: FileWritten[] = [];
  let failed = 0;
  for (let at = 0; at < written.length; at += WRITTEN_LENGTH) {
    const size = written[at + 2] as number;
    if (written[at] === NOT_WRITTEN) {
      files.push({ ok: false, failure: failures[failed] as Failure, size });
      failed += 1;
    } else {
      const foreign = written[at] === WRITTEN_BESIDE_FOREIGN;
      files.push({ ok: true, at: written[at + 1] as number, size, foreign });
    }
  }
  return files;
}
