/**
 * What a segment's file says of itself, also where its header is damaged: then its first whole
 * frame says where it belongs.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { closeFile, openFile } from '../storage/disk.js';
import { readRange } from '../storage/file-scan.js';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  type FileHeader,
  isZero,
  nextWholeFrame,
} from '../storage/frame-format.js';
import { FORMAT_VERSION } from '../storage/layout.js';
import { during } from '../workers/failure.js';

/** A segment and the header that it has or had. */
export interface ClaimedSegment {
  readonly number: number;
  readonly path: string;
  readonly header: FileHeader;
  /** Whether the header was told from the first whole frame. */
  readonly isRebuilt: boolean;
}

export type SegmentClaim =
  | { readonly kind: 'segment'; readonly segment: ClaimedSegment }
  /** Created but never begun. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'damaged' | 'format'; readonly path: string; readonly reason: string };

export function readSegment(path: string): Uint8Array {
  return during('read', path, () => readFileSync(path));
}

/** Reads the claim of the segment with this number. */
export function claimOf(path: string, number: number): SegmentClaim {
  const header = decodeFileHeader(headOf(path));
  if (header !== null && header.format > FORMAT_VERSION) {
    const reason = `it is of format ${header.format}, this eventlogd reads up to ${FORMAT_VERSION}: use a newer one`;
    return { kind: 'format', path, reason };
  }
  if (header?.kind === 'EVLOGSEG' && header.number === number) {
    return { kind: 'segment', segment: { number, path, header, isRebuilt: false } };
  }
  const bytes = readSegment(path);
  if (header === null && isZero(bytes, 0)) return { kind: 'empty' };
  const first = nextWholeFrame(bytes, FILE_HEADER_BYTES)?.header;
  if (first === undefined) {
    return { kind: 'damaged', path, reason: 'the file header is damaged and no frame is whole' };
  }
  const { epoch, firstPosition, frontier } = first;
  const rebuilt: FileHeader = {
    kind: 'EVLOGSEG',
    format: FORMAT_VERSION,
    number,
    firstPosition,
    epoch,
    follows: Math.min(frontier, firstPosition - 1),
  };
  return { kind: 'segment', segment: { number, path, header: rebuilt, isRebuilt: true } };
}

function headOf(path: string): Uint8Array {
  const fd = openFile(path, 'read');
  try {
    return during('read', path, () => readRange(fd, 0, FILE_HEADER_BYTES));
  } finally {
    closeFile(fd);
  }
}
