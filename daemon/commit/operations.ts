/**
 * What callers ask the committer to make durable, prepared as far as it can be before its turn:
 * texts are checked and escaped, ids are resolved to streams. What depends on order is not.
 *
 * @module
 */

import type { Keys } from '../../shared/lines.js';
import type { AckRun } from '../storage/catalog-format.js';
import type { RunRowKind, TurnRowKind } from '../storage/line-facts.js';
import type { Identity } from '../storage/log-records.js';
import type { LoadedStream } from '../streams/load.js';
import type { FileTail, Stream } from '../streams/stream.js';
import type { SealedEvent } from './stream-draft.js';

/** A turn's text, ready to be completed. */
export interface PreparedTurn {
  readonly journal: 'turns';
  readonly stream: Stream;
  readonly fileName: string;
  /** Checked and escaped. */
  readonly text: Uint8Array;
  readonly keys: Keys;
  readonly closeBrace: number;
  /** What the text itself says of its turn. */
  readonly kind: TurnRowKind;
  /** The text's own `created_at` as in `LineFacts`, or null where it has none. */
  readonly createdAt: number | null;
  /** Set by `appendForStream`. */
  readonly streamId: string | null;
  /** The event limit, in bytes: with the ids that are added for it an event must not be over it. */
  readonly bytesMax: number;
}

/** A run event's line up to its seq. */
export interface PreparedRun {
  readonly journal: 'runs';
  readonly stream: Stream;
  readonly fileName: string;
  readonly head: Uint8Array;
  readonly kind: RunRowKind;
  /** The text of the event's own `created_at` and its microseconds, or null. */
  readonly createdAt: { readonly text: Uint8Array; readonly us: number } | null;
}

export type PreparedEvent = PreparedTurn | PreparedRun;

/** What must hold for an append, and how it is recognised when it is sent again. */
export interface AppendConditions {
  readonly expectedSeq: number | null;
  readonly unlessTerminal: boolean;
  readonly ifAbsent: boolean;
  readonly identity: Identity | null;
  readonly key: string | null;
  readonly fingerprint: Uint8Array | null;
}

/** How an append ended, if it was not refused. */
export type AppendResult =
  | { readonly kind: 'appended'; readonly events: readonly SealedEvent[] }
  | { readonly kind: 'duplicate'; readonly runs: readonly AckRun[] }
  | {
      readonly kind: 'present';
      readonly stream: Stream;
      readonly generation: number;
      readonly row: number;
    };

/** Settles a caller's promise. */
interface Settle<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

export interface AppendOperation {
  readonly kind: 'append';
  readonly streams: readonly Stream[];
  readonly events: readonly PreparedEvent[];
  readonly conditions: AppendConditions;
  /** Bytes that it may take in a commit. */
  readonly bytes: number;
  /** When it was handed over, by `performance.now()`. */
  readonly takenMs: number;
  readonly settle: Settle<AppendResult>;
}

export interface DeleteOperation {
  readonly kind: 'delete';
  readonly streams: readonly [Stream];
  /** The run, or null for the whole stream. */
  readonly runId: string | null;
  readonly identity: Identity | null;
  readonly settle: Settle<number>;
}

/** Takes what a stream's files were found to hold into the log, and the end of a life before it. */
export interface AdoptOperation {
  readonly kind: 'adopt';
  readonly streams: readonly [Stream];
  /** What was loaded, or null where nothing is left. */
  readonly loaded: LoadedStream | null;
  /** The life that goes on, or null for a new one. */
  readonly generation: number | null;
  /** The life that ended with its last file, or null. */
  readonly ended: number | null;
  /** Runs of the life that goes on whose files another program removed. */
  readonly removedRuns: readonly { readonly runId: string; readonly count: number }[];
  readonly settle: Settle<number>;
}

/** Takes a stream out of service when all that came before on it is done: a repair has its turn. */
interface RepairOperation {
  readonly kind: 'repair';
  readonly streams: readonly [Stream];
  readonly settle: Settle<void>;
}

/**
 * What came of lines that other programs appended: they are in the log and the stream; or the
 * stream has to be read anew for them; or it is no longer what they were read for.
 */
export type Adoption = 'adopted' | 'reload' | 'stale';

/** Takes lines that other programs appended to an open stream into the log and the stream. */
export interface AdoptLinesOperation {
  readonly kind: 'adoptLines';
  readonly streams: readonly [Stream];
  /** What was read of each file, in the order of their names. */
  readonly tails: readonly FileTail[];
  /** Bytes that it may take in a commit. */
  readonly bytes: number;
  readonly settle: Settle<Adoption>;
}

export type Operation =
  | AppendOperation
  | DeleteOperation
  | AdoptOperation
  | AdoptLinesOperation
  | RepairOperation;

/** Whether an operation adds events: the room that is kept for deletions is not for them. */
export function addsEvents({ kind }: Operation): boolean {
  return kind === 'append' || kind === 'adoptLines';
}
