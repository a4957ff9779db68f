/**
 * Reads events and deletions from the commit log by position, for those who follow everything.
 * Runs on a worker thread; the log is written to meanwhile, so nothing is read that lies behind
 * the durable frontier which the caller names.
 *
 * @module
 */
import { readSync } from 'node:fs';
import type { Journal } from '../../shared/events.js';
import { during, FailureError } from '../workers/failure.js';
import { closeFile, openFile } from './disk.js';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  FRAME_HEADER_BYTES,
  frameAt,
  frameHeaderAt,
} from './frame-format.js';
import { readLogPayload } from './log-record-reader.js';
import type { LogRecord } from './log-records.js';

/** What is asked for. */
export interface PositionTask {
  /** All segments of the log, oldest first. */
  readonly segments: readonly { readonly path: string; readonly firstPosition: number }[];
  readonly after: number;
  /** The durable frontier. */
  readonly through: number;
  /** Where the frame behind `after` begins, if it is known. */
  readonly place: LogPlace | null;
  readonly journal: Journal | null;
  readonly bytesMax: number;
}

/** A place in the log. */
export interface LogPlace {
  readonly path: string;
  readonly offset: number;
}

/** An event or deletion of the log. */
export interface LogEntry {
  readonly position: number;
  readonly journal: Journal;
  readonly id: string;
  readonly content:
    | { readonly seq: number; readonly generation: number; readonly line: Uint8Array }
    | { readonly runId: string | null };
}

export type PositionScan =
  | {
      readonly kind: 'entries';
      readonly entries: readonly LogEntry[];
      /** Everything up to here is among the entries, or is not asked for. */
      readonly through: number;
      readonly place: LogPlace | null;
    }
  /** The log no longer holds what follows; `earliest` is the first position that it holds. */
  | { readonly kind: 'expired'; readonly earliest: number }
  /** A segment is not there: the oldest are deleted as time goes by. */
  | { readonly kind: 'gone'; readonly path: string }
  /** What was durable is not what it was. */
  | { readonly kind: 'damaged'; readonly path: string; readonly offset: number };

const HOP_BYTES = 256 * 1024;
/** How much is read at once, whether it is asked for or not: others wait for the lane. */
const READ_BYTES_MAX = 8 * 1024 * 1024;

/** What lies there is not what was written. */
class Damage extends Error {
  readonly path: string;
  readonly offset: number;

  constructor(path: string, offset: number) {
    super(`${path} is damaged at byte ${offset}`);
    this.path = path;
    this.offset = offset;
  }
}

/** Reads the next entries behind a position. */
export function scanPositions(task: PositionTask): PositionScan {
  const { segments, after } = task;
  const [first] = segments;
  if (first === undefined) return { kind: 'entries', entries: [], through: after, place: null };
  try {
    if (after + 1 < first.firstPosition && after < followsOf(first.path)) {
      return { kind: 'expired', earliest: first.firstPosition };
    }
    return readSegments(task);
  } catch (error) {
    if (error instanceof Damage) return { kind: 'damaged', path: error.path, offset: error.offset };
    if (error instanceof FailureError && error.failure.code === 'ENOENT') {
      return { kind: 'gone', path: error.failure.path };
    }
    throw error;
  }
}

function followsOf(path: string): number {
  return withFile(path, (fd) => {
    const header = decodeFileHeader(readPart(fd, path, 0, FILE_HEADER_BYTES));
    return header?.follows ?? Number.POSITIVE_INFINITY;
  });
}

/** Reads on where a position is; what was read before damage is handed on first. */
function readSegments(task: PositionTask): PositionScan {
  const reading: Reading = { entries: [], bytes: 0, through: task.after, place: task.place };
  const { segments, after } = task;
  const from = segments.findLastIndex(({ firstPosition }) => firstPosition <= after + 1);
  try {
    readInto(reading, task, segments.slice(Math.max(0, from)));
  } catch (error) {
    if (!(error instanceof Damage) || reading.through === after) throw error;
  }
  const { entries, through, place } = reading;
  return { kind: 'entries', entries, through, place };
}

interface Reading {
  readonly entries: LogEntry[];
  /** Of the entries' lines. */
  bytes: number;
  through: number;
  place: LogPlace | null;
}

/**
 * Each frame begins where the one before it ends, and each segment says what it follows, as recovery
 * demands: so nothing is passed over where a header is damaged.
 */
function readInto(reading: Reading, task: PositionTask, segments: PositionTask['segments']): void {
  const { after, through, place } = task;
  let readBytes = 0;
  /** Where the frame before ends, if that is known. */
  let seen = place === null ? null : after;
  for (const { path, firstPosition } of segments) {
    const isResumed = place?.path === path;
    if (!isResumed && seen !== null && followsOf(path) !== seen) break;
    let due = isResumed ? null : firstPosition;
    const isDone = withFile(path, (fd) => {
      for (const frame of framesIn(fd, path, isResumed ? place.offset : FILE_HEADER_BYTES)) {
        const isDue = frame.firstPosition === (due ?? frame.firstPosition);
        // What lies behind the frontier may be half written; the frontier is a frame's end.
        if (!isDue || frame.firstPosition > frame.lastPosition || frame.lastPosition > through) {
          throw new Damage(path, frame.start);
        }
        seen = frame.lastPosition;
        due = seen + 1;
        if (frame.lastPosition > after) {
          if (!takeFrame(reading, task, frame)) return true;
          readBytes += frame.end - frame.start;
        }
        reading.place = { path, offset: frame.end };
        const isEnough = reading.bytes >= task.bytesMax || readBytes >= READ_BYTES_MAX;
        if (isEnough || reading.through >= through) return true;
      }
      return false;
    });
    if (isDone) return;
  }
  const { path = segments.at(-1)?.path ?? '', offset = FILE_HEADER_BYTES } = reading.place ?? {};
  throw new Damage(path, offset);
}

/** Takes what is asked for of a frame; false where that is more than fits. */
function takeFrame(reading: Reading, task: PositionTask, frame: Frame): boolean {
  for (const entry of entriesOf(frame.records(), task)) {
    if (reading.bytes >= task.bytesMax) {
      reading.place = { path: frame.path, offset: frame.start };
      return false;
    }
    reading.entries.push(entry);
    reading.through = entry.position;
    reading.bytes += 'line' in entry.content ? entry.content.line.length : 0;
  }
  reading.through = frame.lastPosition;
  return true;
}

interface Frame {
  readonly path: string;
  readonly start: number;
  readonly end: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
  readonly records: () => readonly LogRecord[];
}

/** The frames of a segment; those whose records nobody asks for are only hopped over. */
function* framesIn(fd: number, path: string, start: number): Generator<Frame> {
  let window: { at: number; bytes: Uint8Array } = { at: start, bytes: new Uint8Array(0) };
  let offset = start;
  for (;;) {
    if (offset + FRAME_HEADER_BYTES > window.at + window.bytes.length) {
      window = { at: offset, bytes: readPart(fd, path, offset, HOP_BYTES) };
    }
    const header = frameHeaderAt(window.bytes, offset - window.at);
    if (header === null) return;
    const begin = offset;
    yield {
      path,
      start: begin,
      end: begin + header.length,
      firstPosition: header.firstPosition,
      lastPosition: header.lastPosition,
      records: () => recordsOf(readPart(fd, path, begin, header.length), path, begin),
    };
    offset += header.length;
  }
}

function recordsOf(bytes: Uint8Array, path: string, offset: number): readonly LogRecord[] {
  const frame = frameAt(bytes, 0);
  if (frame.kind === 'frame') return readLogPayload(frame.payload, frame.header.firstPosition);
  throw new Damage(path, offset);
}

function* entriesOf(records: readonly LogRecord[], task: PositionTask): Generator<LogEntry> {
  for (const record of records) {
    for (const entry of entriesIn(record)) {
      const isWanted = task.journal === null || entry.journal === task.journal;
      if (isWanted && entry.position > task.after) yield entry;
    }
  }
}

function* entriesIn(record: LogRecord): Generator<LogEntry> {
  switch (record.type) {
    case 'append':
    case 'adoptLines':
      for (const { position, stream, seq, line } of record.events) {
        const { journal, id, generation } = stream;
        // A copy of its own, so that the whole frame does not cross threads.
        const content = { seq, generation, line: Uint8Array.from(line) };
        yield { position, journal, id, content };
      }
      return;
    case 'deleteStream':
    case 'deleteRun': {
      const { position, stream, runId } = record;
      yield { position, journal: stream.journal, id: stream.id, content: { runId } };
      return;
    }
    case 'adoptFiles': {
      const { position, stream, files, lastSeq } = record;
      // So the log says that another program removed a stream's last file.
      if (files.length > 0 || lastSeq > 0) return;
      yield { position, journal: stream.journal, id: stream.id, content: { runId: null } };
      return;
    }
    case 'fence':
      return;
    default:
      record satisfies never;
  }
}

function readPart(fd: number, path: string, at: number, length: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(length);
  const read = during('read', path, () => readSync(fd, bytes, 0, length, at));
  return bytes.subarray(0, read);
}

function withFile<T>(path: string, step: (fd: number) => T): T {
  const fd = openFile(path, 'read');
  try {
    return step(fd);
  } finally {
    closeFile(fd);
  }
}
