/**
 * What a batch writes, file by file, and taking its events into their streams once it is durable.
 *
 * @module
 */
import { crc32 } from 'node:zlib';
import type { Journal } from '../../shared/events.js';
import { FRAME_HEADER_BYTES } from '../storage/frame-format.js';
import type { FileTable } from '../streams/file-table.js';
import type { JournalFile, OwnLine } from '../streams/journal-file.js';
import { addToRanges } from '../streams/numbering.js';
import type { Stream } from '../streams/stream.js';
import type { CommitTask, FileWritten } from '../workers/commit-task.js';
import type { Batch } from './seal.js';
import type { SealedEvent } from './stream-draft.js';

/** The lines of a batch that go to one file. */
export interface FileLines {
  readonly file: JournalFile;
  readonly events: readonly [SealedEvent, ...SealedEvent[]];
}

/** A committed event that is about to be taken into its stream. */
type PlacedEvent = SealedEvent & { readonly offset: number };

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
  const byFile = new Map<JournalFile, [SealedEvent, ...SealedEvent[]]>();
  for (const event of batch.events) {
    const file = event.target.fileNamed(event.fileName);
    const lines = byFile.get(file);
    if (lines !== undefined) {
      lines.push(event);
      continue;
    }
    byFile.set(file, [event]);
    files.markDirty(file, batch.nowMs);
  }
  // What is adopted is as durable as our own lines: the next checkpoint syncs it.
  for (const { tails } of batch.adopted) {
    for (const { file } of tails) if (!byFile.has(file)) files.markDirty(file, batch.nowMs);
  }
  return [...byFile].map(([file, events]) => ({ file, events }));
}

/** What the worker is told of each file; the files are being written from here on. */
export function fileTasks(
  lines: readonly FileLines[],
): Extract<CommitTask, { kind: 'commit' }>['files'] {
  return lines.map(({ file, events }) => {
    file.writing = true;
    return {
      fd: file.fd as number,
      path: file.path,
      expectedSize: file.size,
      needsLf: file.needsLf,
      places: placesOf(events),
    };
  });
}

/**
 * Takes the events of a durable batch into their streams.
 *
 * @param results what came of each file, in the order of `lines`
 */
export function applyBatch(
  { lines, adopted }: { readonly lines: readonly FileLines[]; readonly adopted: Batch['adopted'] },
  results: readonly FileWritten[],
  frame: Uint8Array,
): Applied {
  const all: PlacedEvent[] = adopted.flatMap(({ events }) => events);
  const foreign = new Set<Stream>();
  const behind: { stream: Stream; file: JournalFile }[] = [];
  const bytes = { turns: 0, runs: 0 };
  for (const [at, { file, events }] of lines.entries()) {
    const written = results[at] as FileWritten;
    const stream = events[0].target;
    const begin = noteWritten({ file, events }, written, frame);
    let offset = begin;
    for (const event of events) {
      all.push(Object.assign(event, { offset }));
      offset += event.line.length + 1;
    }
    bytes[stream.name.journal] += offset - begin;
    if (!written.ok) behind.push({ stream, file });
    else if (written.foreign) foreign.add(stream);
  }
  const changed = new Set<Stream>();
  all.sort((a, b) => a.position - b.position);
  for (const event of all) {
    const { target, stream, seq, line, offset, kind, createdAt, createdAtUs } = event;
    const file = target.fileNamed(event.fileName);
    target.generation = stream.generation;
    target.add({ seq, file, offset, length: line.length, kind, createdAt, createdAtUs });
    changed.add(target);
  }
  for (const { stream, tails, events } of adopted) {
    for (const event of events) if (event.isNumbered) addToRanges(stream.ranges, event);
    for (const tail of tails) stream.account(tail);
  }
  return { events: all, changed, foreign, behind, bytes };
}

/** Notes where a file's lines went, or that they wait; returns the offset of the first. */
function noteWritten({ file, events }: FileLines, written: FileWritten, frame: Uint8Array): number {
  if (written.ok && !written.foreign && file.isAccounted) {
    const last = events.at(-1) as SealedEvent;
    const lastLine = { length: last.line.length + 1, checksum: crc32(last.line) };
    const length = events.reduce((sum, { line }) => sum + line.length + 1, 0);
    file.extend({ at: written.at, length, lineCount: events.length, lastLine });
    return written.at;
  }
  const lines = ownLines(events);
  if (written.ok) {
    file.extendApart(written.at, lines);
    return written.at;
  }
  const bytes = Buffer.concat(placesOf(events).map(([start, end]) => frame.subarray(start, end)));
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

/** The places of a file's lines in the frame, neighbours joined. */
function placesOf(events: readonly SealedEvent[]): (readonly [number, number])[] {
  const places: (readonly [number, number])[] = [];
  for (const { place } of events) {
    const [start, end] = [place[0] + FRAME_HEADER_BYTES, place[1] + FRAME_HEADER_BYTES];
    const last = places.at(-1);
    if (last !== undefined && last[1] === start) places[places.length - 1] = [last[0], end];
    else places.push([start, end]);
  }
  return places;
}
