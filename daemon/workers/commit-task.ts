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
      /** The lines of each file as pairs of start and end in the frame. */
      readonly files: readonly (Omit<FileWrite, 'bytes'> & {
        readonly places: readonly (readonly [number, number])[];
      })[];
    }
  | { readonly kind: 'write'; readonly files: readonly FileWrite[] }
  | { readonly kind: 'trash'; readonly moves: TrashMove };

export type CommitResult =
  | {
      readonly kind: 'commit';
      /** Null when the frame is durable. */
      readonly logFailure: Failure | null;
      readonly files: readonly FileWritten[];
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
