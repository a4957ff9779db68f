/**
 * What a batch writes, file by file, and taking its events into their streams once it is durable.
 *
 * @module
 */
import { crc32 } from 'node:zlib';
import type { Journal } from '../../shared/events.js';
import { FRAME_HEADER_BYTES } from '../storage/frame-format.js';
import type { LogPayload } from '../storage/log-records.js';
import type { FileTable } from '../streams/file-table.js';
import type { FirstWrites } from '../streams/first-writes.js';
import type { JournalFile, OwnLine } from '../streams/journal-file.js';
import { addToRanges } from '../streams/numbering.js';
import type { Stream } from '../streams/stream.js';
import {
  type CommitResult,
  type FileWritten,
  packLines,
  unpackWritten,
} from '../workers/commit-task.js';
import type { Batch } from './seal.js';
import type { SealedEvent } from './stream-draft.js';

/** The lines of a batch that go to one file. */
export interface FileLines {
  readonly file: JournalFile;
  readonly events: readonly [SealedEvent, ...SealedEvent[]];
}

/** What an applied batch leaves to be done. */
export interface Applied {
  /** The batch's events, adopted ones among them, in the order of their positions. */
  readonly events: readonly SealedEvent[];
  readonly changed: ReadonlySet<Stream>;
  /** Streams in whose files other programs' bytes were met. */
  readonly foreign: ReadonlySet<Stream>;
  /** Bytes of the lines of each journal. */
  readonly bytes: Readonly<Record<Journal, number>>;
  /** Files that had no room. */
  readonly behind: readonly { readonly stream: Stream; readonly file: JournalFile }[];
}

/** The lines of a batch by file; the files are dirty from here on. */
export function linesByFile(batch: Batch, files: FileTable): FileLines[] {
  const all: FileLines[] = [];
  for (const [file, events] of batch.lines) {
    files.markDirty(file, batch.nowMs);
    all.push({ file, events });
  }
  // What is adopted is as durable as our own lines: the next checkpoint syncs it.
  for (const { tails } of batch.adopted) {
    for (const { file } of tails) if (!batch.lines.has(file)) files.markDirty(file, batch.nowMs);
  }
  return all;
}

/** What the worker is told of each file; the files are being written from here on. */
export function lineTask(lines: readonly FileLines[]): Float64Array {
  return packLines(
    lines.map(({ file, events }) => {
      file.writing = true;
      return {
        fd: file.fd as number,
        expectedSize: file.size,
        needsLf: file.needsLf,
        places: placesOf(events),
      };
    }),
  );
}

/** What came of each file once the frame is durable, in the order of `lines`. */
export function writtenOf(
  lines: readonly FileLines[],
  result: Extract<CommitResult, { kind: 'commit' }>,
  firstWrites: FirstWrites,
): readonly FileWritten[] {
  return unpackWritten(result).map((one, at) => {
    const { path } = (lines[at] as FileLines).file;
    firstWrites.note(path, one);
    return one.ok ? one : { ...one, failure: { ...one.failure, path } };
  });
}

/**
 * Takes the events of a durable batch into their streams.
 *
 * @param results what came of each file, in the order of `lines`
 */
export function applyBatch(
  batch: Batch,
  lines: readonly FileLines[],
  results: readonly FileWritten[],
): Applied {
  const foreign = new Set<Stream>();
  const behind: { stream: Stream; file: JournalFile }[] = [];
  const bytes = { turns: 0, runs: 0 };
  for (const [at, { file, events }] of lines.entries()) {
    const written = results[at] as FileWritten;
    const stream = events[0].target;
    const begin = noteWritten({ file, events }, written, batch.payload);
    let offset = begin;
    for (const event of events) {
      event.offset = offset;
      offset += event.length + 1;
    }
    bytes[stream.name.journal] += offset - begin;
    if (!written.ok) behind.push({ stream, file });
    else if (written.foreign) foreign.add(stream);
  }
  const events = inOrder(batch);
  const changed = new Set<Stream>();
  for (const event of events) {
    const { target } = event;
    target.generation = event.stream.generation;
    target.add(event);
    changed.add(target);
  }
  for (const { stream, tails, events: adopted } of batch.adopted) {
    for (const event of adopted) if (event.isNumbered) addToRanges(stream.ranges, event);
    for (const tail of tails) stream.account(tail);
  }
  return { events, changed, foreign, behind, bytes };
}

/** The events of a batch, adopted ones among them, in the order of their positions. */
function inOrder({ events, adopted }: Batch): readonly SealedEvent[] {
  if (adopted.length === 0) return events;
  const all = [...events, ...adopted.flatMap((lines) => lines.events)];
  return all.sort((a, b) => a.position - b.position);
}

/** Notes where a file's lines went, or that they wait; returns the offset of the first. */
function noteWritten(
  { file, events }: FileLines,
  written: FileWritten,
  payload: LogPayload,
): number {
  if (written.ok && !written.foreign && file.isAccounted) {
    const last = events.at(-1) as SealedEvent;
    const lastLine = { length: last.length + 1, checksum: crc32(last.line) };
    let length = 0;
    for (const event of events) length += event.length + 1;
    file.extend({ at: written.at, length, lineCount: events.length, lastLine });
    return written.at;
  }
  const lines = ownLines(events);
  if (written.ok) {
    file.extendApart(written.at, lines);
    return written.at;
  }
  const all = payload.view();
  const bytes = Buffer.concat(
    events.map(({ start, length }) => all.subarray(start, start + length + 1)),
  );
  const at = written.size + (file.needsLf ? 1 : 0);
  file.behind = { at, bytes, lines };
  return at;
}

/** Lines that are written one behind the other, as a file keeps them; offsets count from the first. */
export function ownLines(
  events: readonly Pick<SealedEvent, 'position' | 'seq' | 'line'>[],
): OwnLine[] {
  let offset = 0;
  return events.map(({ position, seq, line }) => {
    const own = { position, seq, offset, length: line.length + 1, checksum: crc32(line) };
    offset += own.length;
    return own;
  });
}

/** The places of a file's lines in the frame, starts and ends in turn, neighbours joined. */
function placesOf(events: readonly SealedEvent[]): number[] {
  const places: number[] = [];
  for (const { start, length } of events) {
    const from = FRAME_HEADER_BYTES + start;
    if (places.at(-1) === from) places.pop();
    else places.push(from);
    places.push(from + length + 1);
  }
  return places;
}
