/**
 * What the daemon reads out of a journal line: whether it is an event, and the few members that
 * order it, find it again, or tell a turn's state. Nothing else of a line is interpreted.
 *
 * @module
 */
import { isUtf8 } from 'node:buffer';
import { type Journal, TERMINAL_EVENTS } from '../../shared/events.js';
import { parseJson } from '../../shared/json-parse.js';

/** What rows have in common, so that each distinct combination is kept once per stream. */
export type RowKind = TurnRowKind | RunRowKind;

export interface TurnRowKind {
  readonly journal: 'turns';
  /** The turn, or `''` for none. */
  readonly turnId: string;
  /** The stream id of the caller, or `''` for none. */
  readonly streamId: string;
  readonly role: 'submitted' | 'terminal' | 'other';
}

export interface RunRowKind {
  readonly journal: 'runs';
  readonly runId: string;
  readonly eventType: string;
  readonly category: string;
  /** `metadata.task_id`, or null for none. */
  readonly taskId: string | null;
}

/** What one line says. */
export interface LineFacts {
  /** Its own seq: null where it has none, -1 where it has one that is unusable. */
  readonly seq: number | null;
  /** A turn's `created_at` as a finite number, else 0; a run's in microseconds, else 0. */
  readonly createdAt: number;
  readonly kind: RowKind;
}

/** A string that is the same for the same kind. */
export function rowKindKey(kind: RowKind): string {
  return kind.journal === 'turns'
    ? JSON.stringify([kind.turnId, kind.streamId, kind.role])
    : JSON.stringify([kind.runId, kind.eventType, kind.category, kind.taskId]);
}

/** What a turn or stream id of any JSON type counts as: its text, trimmed; null is none. */
function idText(value: unknown): string {
  if (value === null || value === undefined) return '';
  // Whatever it is, its text is its name: that is how the old library's readers meet it.
  return String(value as string).trim();
}

/** The facts of a line, or null where it is malformed. */
export function lineFacts(journal: Journal, line: Buffer): LineFacts | null {
  const record = parseLine(line);
  return record === null ? null : recordFacts(journal, record);
}

/** The object that a line holds, or null where it is malformed. */
function parseLine(line: Buffer): Readonly<Record<string, unknown>> | null {
  if (!isUtf8(line)) return null;
  let value: unknown;
  try {
    value = parseJson(line.toString('utf8'));
  } catch {
    return null;
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

/** The facts of a record, given by its members. */
export function recordFacts(
  journal: Journal,
  record: Readonly<Record<string, unknown>>,
): LineFacts {
  const seq = Object.hasOwn(record, 'seq') ? usableSeq(record['seq']) : null;
  return journal === 'turns'
    ? { seq, createdAt: finite(record['created_at']), kind: turnKind(record) }
    : { seq, createdAt: parseRunCreatedAt(record['created_at']), kind: runKind(record) };
}

function turnKind(record: Readonly<Record<string, unknown>>): TurnRowKind {
  const event = record['event'];
  const isTerminal = typeof event === 'string' && TERMINAL_EVENTS.has(event);
  return {
    journal: 'turns',
    turnId: idText(record['turn_id']),
    streamId: idText(record['stream_id']),
    role: isTerminal ? 'terminal' : event === 'submitted' ? 'submitted' : 'other',
  };
}

function runKind(record: Readonly<Record<string, unknown>>): RunRowKind {
  const metadata = record['metadata'];
  const task =
    typeof metadata === 'object' && metadata !== null && Object.hasOwn(metadata, 'task_id')
      ? (metadata as Record<string, unknown>)['task_id']
      : null;
  return {
    journal: 'runs',
    runId: textOf(record['run_id']),
    eventType: textOf(record['event_type']),
    category: textOf(record['category']),
    taskId: typeof task === 'string' ? task : null,
  };
}

/** A run's `created_at` in microseconds since 1970, or 0 where it is no date. */
export function parseRunCreatedAt(value: unknown): number {
  if (typeof value !== 'string') return 0;
  const milliseconds = Date.parse(value);
  if (!Number.isFinite(milliseconds)) return 0;
  const below = /\.[0-9]{3}([0-9]{3})/.exec(value)?.[1];
  return Math.floor(milliseconds) * 1000 + Number(below ?? 0);
}

/** A seq above this leaves too few for what follows: it counts as none. */
const SEQ_MAX = 2 ** 52;

function usableSeq(value: unknown): number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= SEQ_MAX
    ? (value as number)
    : -1;
}

function finite(value: unknown): number {
  const number = typeof value === 'bigint' ? Number(value) : value;
  return typeof number === 'number' && Number.isFinite(number) ? number : 0;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
