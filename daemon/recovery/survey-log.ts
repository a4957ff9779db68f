/**
 * Reads the commit log as `readLog` does, but goes on behind damage: it tells all that is wrong,
 * which frames are whole and proven, and which positions are lost between them. Changes nothing.
 *
 * A whole frame behind damage is believed if its epoch does not go back and if its frontier says
 * that what is missing before it was durable: then it is no leftover of a torn write.
 *
 * @module
 */
import { readdirSync } from 'node:fs';
import {
  FILE_HEADER_BYTES,
  type FileHeader,
  type FrameAt,
  type FrameHeader,
  frameAt,
  nextWholeFrame,
} from '../storage/frame-format.js';
import { type Layout, segmentNumber, segmentPath } from '../storage/layout.js';
import { during } from '../workers/failure.js';
import { decideLogEnd } from './log-table.js';
import { type ClaimedSegment, claimOf, readSegment } from './segment-claim.js';

/** Positions from the first to the last. */
export interface PositionRange {
  readonly first: number;
  readonly last: number;
}

/** A part of a segment: whole frames, or positions whose frames are lost. */
type SegmentPiece =
  | { readonly kind: 'frames'; readonly from: number; to: number }
  | ({ readonly kind: 'lost'; readonly epoch: number } & PositionRange);

/** Something that is wrong with the log. */
export interface LogProblem {
  readonly kind: 'damaged' | 'torn' | 'format' | 'lost';
  readonly path: string;
  readonly offset: number;
  readonly reason: string;
  /** The positions that are lost by it, or null. */
  readonly lost: PositionRange | null;
}

/** A segment and what of it is whole. */
export interface SurveyedSegment {
  readonly number: number;
  readonly path: string;
  /** The header that it has, or must get. */
  readonly header: FileHeader;
  readonly pieces: readonly SegmentPiece[];
  /** Whether it must be written anew for the log to be whole. */
  readonly isDamaged: boolean;
}

export interface LogSurvey {
  readonly segments: readonly SurveyedSegment[];
  /** Files that hold nothing that could be kept. */
  readonly hopeless: readonly string[];
  readonly problems: readonly LogProblem[];
  /** The position before the first segment, or null where there is none. */
  readonly follows: number | null;
  readonly lastPosition: number;
  readonly epoch: number;
  readonly frames: number;
}

/** A whole frame on its way to the caller; the payload is a view that is valid during the call. */
export interface SurveyedFrame {
  readonly path: string;
  readonly offset: number;
  readonly header: FrameHeader;
  readonly payload: Uint8Array;
}

export interface LogSurveyTask {
  readonly layout: Layout;
  /** The last position that the catalog covers. */
  readonly covered: number;
  readonly onFrame?: (frame: SurveyedFrame) => void;
  readonly onProgress?: (path: string, bytes: number) => void;
}

/** Surveys all segments. */
export function surveyLog(task: LogSurveyTask): LogSurvey {
  const { layout, covered } = task;
  const problems: LogProblem[] = [];
  const hopeless: string[] = [];
  const claimed: ClaimedSegment[] = [];
  for (const number of segmentNumbers(layout)) {
    const claim = claimOf(segmentPath(layout, number), number);
    if (claim.kind === 'empty') continue;
    if (claim.kind === 'segment') claimed.push(claim.segment);
    else {
      const { kind, path, reason } = claim;
      problems.push({ kind, path, offset: 0, reason, lost: null });
      if (kind === 'damaged') hopeless.push(path);
    }
  }
  const surveyor = new Surveyor(task, problems);
  const segments = claimed.map((segment, at) => surveyor.segment(segment, claimed[at + 1]));
  const follows = segments[0]?.header.follows ?? null;
  if (follows === null && covered > 0) {
    const reason = `the log holds no segment, but the catalog covers position ${covered}`;
    problems.push({ kind: 'damaged', path: layout.log, offset: 0, reason, lost: null });
  }
  const { epoch, frames } = surveyor;
  const lastPosition = surveyor.position ?? covered;
  return { segments, hopeless, problems, follows, lastPosition, epoch, frames };
}

function segmentNumbers(layout: Layout): number[] {
  const names = during('read', layout.log, () => readdirSync(layout.log));
  return names.flatMap((name) => segmentNumber(name) ?? []).sort((a, b) => a - b);
}

/** Where in a segment the survey is, and the position that is due there. */
interface Place {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly expected: number;
  readonly path: string;
}

function reasonOf(found: FrameAt, expected: number, epoch: number): string {
  if (found.kind === 'bad') return found.reason;
  if (found.kind === 'end') return `zeros where position ${expected} is due`;
  const { header } = found;
  return header.epoch < epoch
    ? `the epoch goes back from ${epoch} to ${header.epoch}`
    : `the frame begins at position ${header.firstPosition} where ${expected} is due`;
}

/** Walks the segments in order. */
class Surveyor {
  readonly #task: LogSurveyTask;
  readonly #problems: LogProblem[];
  position: number | null = null;
  epoch = 0;
  frames = 0;

  constructor(task: LogSurveyTask, problems: LogProblem[]) {
    this.#task = task;
    this.#problems = problems;
  }

  segment(segment: ClaimedSegment, next: ClaimedSegment | undefined): SurveyedSegment {
    const { number, path } = segment;
    const bytes = readSegment(path);
    const header = this.#headerOf(segment);
    const pieces: SegmentPiece[] = [];
    let isDamaged = header !== segment.header || segment.isRebuilt;
    this.epoch = Math.max(this.epoch, header.epoch);
    this.position ??= header.follows;
    let expected = header.firstPosition;
    let offset = FILE_HEADER_BYTES;
    for (;;) {
      const taken = this.#takeFrame({ bytes, offset, expected, path }, pieces);
      if (taken !== null) {
        expected = taken.lastPosition + 1;
        offset = taken.end;
        continue;
      }
      const end = this.#endOf({ bytes, offset, expected, path }, next);
      if (end === null) break;
      if (end.lost !== null) {
        pieces.push({ kind: 'lost', epoch: this.epoch, ...end.lost });
        this.position = end.lost.last;
        expected = end.lost.last + 1;
      }
      isDamaged ||= end.isDamaged;
      if (end.resumeAt === null) break;
      offset = end.resumeAt;
    }
    this.#task.onProgress?.(path, bytes.length);
    return { number, path, header, pieces, isDamaged };
  }

  /** The header that makes the segment follow what is before it. */
  #headerOf(segment: ClaimedSegment): FileHeader {
    const { header, path } = segment;
    const { covered } = this.#task;
    if (segment.isRebuilt) {
      this.#problem('damaged', {
        path,
        offset: 0,
        reason: 'the file header is damaged',
        lost: null,
      });
    }
    const { position } = this;
    if (position === null) {
      if (header.follows > covered) {
        const reason = `it begins after position ${header.follows}, but the catalog covers only ${covered}`;
        this.#problem('damaged', { path, offset: 0, reason, lost: null });
      }
      return header;
    }
    if (header.follows === position) return header;
    const firstPosition = Math.max(header.firstPosition, position + 1);
    return { ...header, follows: position, firstPosition };
  }

  #takeFrame(
    place: Place,
    pieces: SegmentPiece[],
  ): { readonly lastPosition: number; readonly end: number } | null {
    const { bytes, offset, expected, path } = place;
    const found = frameAt(bytes, offset);
    if (found.kind !== 'frame') return null;
    const { header, payload, end } = found;
    if (header.firstPosition !== expected || header.epoch < this.epoch) return null;
    this.epoch = header.epoch;
    this.position = header.lastPosition;
    this.frames += 1;
    this.#task.onFrame?.({ path, offset, header, payload });
    if (payload.length === 0) {
      const lost = { first: header.firstPosition, last: header.lastPosition };
      this.#problem('lost', { path, offset, reason: 'a repair noted it', lost });
    }
    const last = pieces.at(-1);
    if (last?.kind === 'frames') last.to = end;
    else pieces.push({ kind: 'frames', from: offset, to: end });
    return { lastPosition: header.lastPosition, end };
  }

  /** What the end of whole frames means; null where nothing is wrong with it. */
  #endOf(
    place: Place,
    next: ClaimedSegment | undefined,
  ): {
    readonly lost: PositionRange | null;
    readonly resumeAt: number | null;
    readonly isDamaged: boolean;
  } | null {
    const { bytes, offset, expected, path } = place;
    const position = this.position ?? 0;
    const { covered } = this.#task;
    const found = frameAt(bytes, offset);
    const behind = this.#framesBehind(bytes, offset, expected);
    const isFollowed = next !== undefined && next.header.follows === position;
    const action = decideLogEnd({
      found: found.kind === 'end' ? 'end' : 'bad',
      later: next === undefined ? 'none' : isFollowed ? 'follows' : 'gap',
      durable: position < covered ? !isFollowed : behind.frontier >= expected,
    });
    if (action === 'done' || action === 'next-segment') return null;
    const reason = reasonOf(found, expected, this.epoch);
    if (action === 'torn') {
      this.#problem('torn', { path, offset, reason, lost: null });
      return null;
    }
    const resume = behind.resume;
    const lastLost =
      resume !== null
        ? resume.firstPosition - 1
        : (next?.header.follows ?? Math.max(covered, behind.frontier));
    const lost = lastLost >= expected ? { first: expected, last: lastLost } : null;
    this.#problem('damaged', { path, offset, reason, lost });
    return { lost, resumeAt: resume?.offset ?? null, isDamaged: true };
  }

  /** The next frame that is whole and proven, and how far the frames behind say the log was durable. */
  #framesBehind(
    bytes: Uint8Array,
    offset: number,
    expected: number,
  ): {
    readonly resume: { readonly offset: number; readonly firstPosition: number } | null;
    readonly frontier: number;
  } {
    let frontier = 0;
    let later = nextWholeFrame(bytes, offset);
    while (later !== null) {
      const { header } = later;
      frontier = Math.max(frontier, header.frontier);
      const isProven = header.firstPosition > expected && header.frontier >= expected;
      if (isProven && header.epoch >= this.epoch) {
        return { resume: { offset: later.offset, firstPosition: header.firstPosition }, frontier };
      }
      later = nextWholeFrame(bytes, later.end);
    }
    return { resume: null, frontier };
  }

  #problem(kind: LogProblem['kind'], problem: Omit<LogProblem, 'kind'>): void {
    this.#problems.push({ kind, ...problem });
  }
}
