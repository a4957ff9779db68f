/**
 * The records of both journals, as they stand on disk: keys are data and keep their spelling.
 *
 * @module
 */

/** The two journals of a directory. */
export type Journal = 'turns' | 'runs';

/** An event of a session's turn journal. */
export interface TurnEvent {
  readonly seq: number;
  readonly event?: string;
  readonly turn_id?: unknown;
  readonly stream_id?: unknown;
  readonly session_id?: unknown;
  readonly created_at?: unknown;
  readonly version?: unknown;
  readonly [key: string]: unknown;
}

/** What a caller appends to a session: `event` is mandatory, the rest is its own. */
export interface NewTurnEvent {
  readonly event: string;
  readonly [key: string]: unknown;
}

/** An event of a run. Old files may lack any of the keys. */
export interface RunEvent {
  readonly thread_id: string;
  readonly run_id: string;
  readonly event_type: string;
  readonly category: string;
  readonly content: unknown;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly seq: number;
  readonly created_at: string;
}

/** What a caller puts: `content` defaults to `""`, `metadata` to `{}`. */
export interface NewRunEvent {
  readonly thread_id: string;
  readonly run_id: string;
  readonly event_type: string;
  readonly category: string;
  readonly content?: unknown;
  readonly metadata?: Readonly<Record<string, unknown>> | null;
  readonly created_at?: string;
}

/** A line that is no event: not UTF-8, not JSON, or not an object. */
export interface MalformedLine {
  /** Its 1-based number in its file, counting every LF. */
  readonly line: number;
  /** Its text, bad bytes as U+FFFD, at most 64 KiB of it. */
  readonly raw: string;
  /** Its true length in bytes, where `raw` is cut. */
  readonly rawBytes?: number;
  /** The file's name, where a session has more than one. */
  readonly shard?: string;
}

/** Events that end a turn. */
export const TERMINAL_EVENTS: ReadonlySet<string> = new Set(['completed', 'interrupted']);
