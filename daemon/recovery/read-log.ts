/**
 * Reads the whole commit log: which frames are whole, where it ends, and whether it is torn or
 * corrupt. Changes nothing.
 *
 * @module
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { FormatVersionError, LogCorruptError } from '../../shared/errors.js';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  type FrameHeader,
  frameAt,
  isZero,
  nextWholeFrame,
} from '../storage/frame-format.js';
import { FORMAT_VERSION, type Layout, segmentNumber, segmentPath } from '../storage/layout.js';
import { decideLogEnd } from './log-table.js';

/** A whole frame. */
export interface LogFrame {
  readonly header: FrameHeader;
  readonly payload: Uint8Array;
  readonly path: string;
  readonly offset: number;
  readonly end: number;
}

/** A segment's whole frames end here. */
interface LogSegment {
  readonly number: number;
  readonly path: string;
  readonly firstPosition: number;
  /** Where the whole frames end. */
  readonly bytes: number;
  /** What stands behind them and is no frame, or null. */
  readonly torn: Uint8Array | null;
}

/** What a log holds. */
export interface LogContent {
  readonly segments: readonly LogSegment[];
  /** The last position of a whole frame; `after` where there is none. */
  readonly lastPosition: number;
  readonly epoch: number;
  readonly frames: number;
}

interface Segment {
  readonly number: number;
  readonly path: string;
  readonly header: FileHeader;
}

/**
 * Reads all segments and visits each whole frame in order.
 *
 * @param covered the last position that the catalog covers: all up to it was durable
 * @throws LogCorruptError with file and offset for damage at or below the durable frontier
 * @throws FormatVersionError for a log of a later format
 */
export function readLog(
  layout: Layout,
  covered: number,
  visit: (frame: LogFrame) => void,
): LogContent {
  const segments = segmentsOf(layout);
  const contents: LogSegment[] = [];
  let epoch = 0;
  let frames = 0;
  let position: number | null = null;
  for (const [at, segment] of segments.entries()) {
    const { header, path, number } = segment;
    const next = segments[at + 1];
    const bytes = readFileSync(path);
    if (at === 0 && header.follows > covered) {
      throw corrupt(
        path,
        0,
        `it begins after position ${header.follows}, but the catalog covers only ${covered}`,
      );
    }
    let expected = header.firstPosition;
    let offset = FILE_HEADER_BYTES;
    epoch = Math.max(epoch, header.epoch);
    position ??= header.follows;
    for (;;) {
      const found = frameAt(bytes, offset);
      const isNext =
        found.kind === 'frame' &&
        found.header.firstPosition === expected &&
        found.header.epoch >= epoch;
      if (found.kind === 'frame' && isNext) {
        visit({ header: found.header, payload: found.payload, path, offset, end: found.end });
        epoch = found.header.epoch;
        position = found.header.lastPosition;
        expected = position + 1;
        offset = found.end;
        frames += 1;
        continue;
      }
      const action = decideLogEnd({
        found: found.kind === 'end' ? 'end' : 'bad',
        later: next === undefined ? 'none' : next.header.follows === position ? 'follows' : 'gap',
        durable:
          position < covered
            ? isDue(position, covered, next)
            : provenBehind(bytes, offset, expected),
      });
      if (action === 'corrupt') {
        throw corrupt(
          path,
          offset,
          found.kind === 'bad' ? found.reason : `position ${expected} is due here`,
        );
      }
      const torn = action === 'torn' ? Uint8Array.from(bytes.subarray(offset)) : null;
      contents.push({ number, path, firstPosition: header.firstPosition, bytes: offset, torn });
      break;
    }
  }
  if (position === null && covered > 0) {
    throw corrupt(layout.log, 0, `it holds no segment, but the catalog covers position ${covered}`);
  }
  return { segments: contents, lastPosition: position ?? 0, epoch, frames };
}

/** Whether the catalog proves that a frame is due after `position` in this segment. */
function isDue(position: number, covered: number, next: Segment | undefined): boolean {
  // Positions jump where the next segment says so, and then nothing is missing here.
  return next === undefined ? position < covered : next.header.follows !== position;
}

/** Whether a whole frame at or behind a place says that what is due there was durable. */
function provenBehind(bytes: Uint8Array, offset: number, expected: number): boolean {
  let later = nextWholeFrame(bytes, offset);
  while (later !== null) {
    if (later.header.frontier >= expected) return true;
    later = nextWholeFrame(bytes, later.end);
  }
  return false;
}

function segmentsOf(layout: Layout): Segment[] {
  const numbers = readdirSync(layout.log).flatMap((name) => segmentNumber(name) ?? []);
  const segments: Segment[] = [];
  for (const number of numbers.sort((a, b) => a - b)) {
    const path = segmentPath(layout, number);
    const header = decodeFileHeader(headOf(path));
    if (header === null) {
      if (isZero(readFileSync(path), 0)) continue;
      throw corrupt(path, 0, 'the file header is damaged');
    }
    if (header.format > FORMAT_VERSION) {
      throw new FormatVersionError(
        `${path} is of format ${header.format}, this eventlogd reads up to ${FORMAT_VERSION}: use a newer one`,
      );
    }
    if (header.kind !== 'EVLOGSEG' || header.number !== number) {
      throw corrupt(path, 0, 'the file header is that of another file');
    }
    segments.push({ number, path, header });
  }
  return segments;
}

function headOf(path: string): Uint8Array {
  const head = Buffer.alloc(FILE_HEADER_BYTES);
  const fd = openSync(path, 'r');
  try {
    return head.subarray(0, readSync(fd, head, 0, head.length, 0));
  } finally {
    closeSync(fd);
  }
}

function corrupt(file: string, offset: number, reason: string): LogCorruptError {
  return new LogCorruptError(
    file,
    offset,
    `the commit log is damaged in ${file} at byte ${offset}: ${reason}; it was durable, so nothing is cut: ` +
      `see 'eventlogd verify', then 'eventlogd repair'`,
  );
}
