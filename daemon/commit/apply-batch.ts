/**
 * What a batch writes, file by file, and taking its events into their streams once it is durable.
 *
 * @module
 */
import { crc32 } from 'node:zlib';
import { FRAME_HEADER_BYTES } from '../storage/frame-format.js';
import type { FileTable } from '../streams/file-table.js';
import type { JournalFile } from '../streams/journal-file.js';
import type { Stream } from '../streams/stream.js';
import type { CommitTask, FileWritten } from '../workers/commit-task.js';
import type { Batch } from './seal.js';
import type { SealedEvent } from './stream-draft.js';

/** The lines of a batch that go to one file. */
export interface FileLines {
  readonly file: JournalFile;
  readonly events: readonly [SealedEvent, ...SealedEvent[]];
}

/** What an applied batch leaves to be done. */
export interface Applied {
  /** The batch's events in the order of their positions. */
  readonly events: readonly SealedEvent[];
  readonly changed: ReadonlySet<Stream>;
  /** Streams in whose files other programs' bytes were met. */
  readonly foreign: ReadonlySet<Stream>;
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
  lines: readonly FileLines[],
  results: readonly FileWritten[],
  frame: Uint8Array,
): Applied {
  const offsets = new Map<SealedEvent, number>();
  const foreign = new Set<Stream>();
  const behind: { stream: Stream; file: JournalFile }[] = [];
  for (const [at, { file, events }] of lines.entries()) {
    const written = results[at] as FileWritten;
    const stream = events[0].target;
    let offset = noteWritten({ file, events }, written, frame);
    for (const event of events) {
      offsets.set(event, offset);
      offset += event.line.length + 1;
    }
    if (!written.ok) behind.push({ stream, file });
    else if (written.foreign) foreign.add(stream);
  }
  const changed = new Set<Stream>();
  const all = lines.flatMap(({ events }) => events).sort((a, b) => a.position - b.position);
  for (const event of all) {
    const { target, stream, seq, kind, createdAt, createdAtUs } = event;
    const file = target.fileNamed(event.fileName);
    const offset = offsets.get(event) as number;
    target.generation = stream.generation;
    target.add({ seq, file, offset, length: event.line.length, kind, createdAt, createdAtUs });
    changed.add(target);
  }
  return { events: all, changed, foreign, behind };
}

/** Notes where a file's lines went, or that they wait; returns the offset of the first. */
function noteWritten({ file, events }: FileLines, written: FileWritten, frame: Uint8Array): number {
  const last = events.at(-1) as SealedEvent;
  const lastLine = { length: last.line.length + 1, checksum: crc32(last.line) };
  const lineCount = events.length;
  if (written.ok && !written.foreign) {
    const length = events.reduce((sum, { line }) => sum + line.length + 1, 0);
    file.extend({ at: written.at, length, lineCount, lastLine });
    return written.at;
  }
  file.unmarkedFrom ??= events[0].position;
  file.size = written.size;
  if (written.ok) return written.at;
  const bytes = Buffer.concat(placesOf(events).map(([start, end]) => frame.subarray(start, end)));
  const at = file.size + (file.needsLf ? 1 : 0);
  file.behind = { at, bytes, lineCount, lastLine };
  return at;
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
