/**
 * Frames on disk, as the commit log and the catalog hold them: a file header, then frames at
 * multiples of 8 bytes, each under one checksum, then zeros. `docs/format.md` shows the bytes.
 *
 * A frame's checksum covers all of it, so a group commit is whole or it is not there.
 *
 * @module
 */
import { crc32 } from 'node:zlib';
import { readU64, writeU64 } from './byte-codec.js';

export const FILE_HEADER_BYTES = 64;
export const FRAME_HEADER_BYTES = 48;
const FRAME_MAGIC = 0x46_4c_56_45; // "EVLF"
const ALIGNMENT = 8;

/** What a file header says. */
export interface FileHeader {
  readonly kind: 'EVLOGSEG' | 'EVLOGCAT';
  readonly format: number;
  readonly number: number;
  readonly firstPosition: number;
  readonly epoch: number;
  /** The last position before this file: positions may jump where the daemon was not stopped cleanly. */
  readonly follows: number;
}

/** What a frame header says beside the payload's length. */
export interface FrameHeader {
  /** The start of the daemon that wrote it; never decreases. */
  readonly epoch: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
  /** The last position that was known to be durable when the frame was written. */
  readonly frontier: number;
}

/** What stands at an offset where a frame may begin. */
export type FrameAt =
  | {
      readonly kind: 'frame';
      readonly header: FrameHeader;
      readonly payload: Uint8Array;
      readonly end: number;
    }
  | { readonly kind: 'end' }
  | { readonly kind: 'bad'; readonly reason: string };

/** The bytes of a file header. */
export function encodeFileHeader(header: FileHeader): Uint8Array {
  const bytes = new Uint8Array(FILE_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(header.kind));
  view.setUint32(12, header.format, true);
  writeU64(view, 16, header.number);
  writeU64(view, 24, header.firstPosition);
  writeU64(view, 32, header.epoch);
  writeU64(view, 40, header.follows);
  view.setUint32(8, crc32(bytes.subarray(12)), true);
  return bytes;
}

/** The file header at the start of `bytes`, or null where there is none. */
export function decodeFileHeader(bytes: Uint8Array): FileHeader | null {
  if (bytes.length < FILE_HEADER_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, FILE_HEADER_BYTES);
  const kind = new TextDecoder('latin1').decode(bytes.subarray(0, 8));
  if (kind !== 'EVLOGSEG' && kind !== 'EVLOGCAT') return null;
  if (view.getUint32(8, true) !== crc32(bytes.subarray(12, FILE_HEADER_BYTES))) return null;
  return {
    kind,
    format: view.getUint32(12, true),
    number: readU64(view, 16),
    firstPosition: readU64(view, 24),
    epoch: readU64(view, 32),
    follows: readU64(view, 40),
  };
}

/** The length of a frame with a payload of this length. */
export function frameLength(payloadLength: number): number {
  return FRAME_HEADER_BYTES + Math.ceil(payloadLength / ALIGNMENT) * ALIGNMENT;
}

/** The bytes of a frame, padded to a multiple of 8. */
export function encodeFrameOnDisk(header: FrameHeader, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(frameLength(payload.length));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, FRAME_MAGIC, true);
  view.setUint32(4, payload.length, true);
  writeU64(view, 16, header.epoch);
  writeU64(view, 24, header.firstPosition);
  writeU64(view, 32, header.lastPosition);
  writeU64(view, 40, header.frontier);
  bytes.set(payload, FRAME_HEADER_BYTES);
  view.setUint32(8, checksum(bytes), true);
  return bytes;
}

/** What the header at `offset` says of its frame, which may be cut; null where there is none. */
export function frameHeaderAt(
  bytes: Uint8Array,
  offset: number,
): {
  readonly length: number;
  readonly firstPosition: number;
  readonly lastPosition: number;
} | null {
  if (offset + FRAME_HEADER_BYTES > bytes.length) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, FRAME_HEADER_BYTES);
  if (view.getUint32(0, true) !== FRAME_MAGIC) return null;
  return {
    length: frameLength(view.getUint32(4, true)),
    firstPosition: readU64(view, 24),
    lastPosition: readU64(view, 32),
  };
}

/** Reads the frame at `offset`; `end` means that all from here on is zero. */
export function frameAt(bytes: Uint8Array, offset: number): FrameAt {
  if (offset >= bytes.length) return { kind: 'end' };
  const frame = wholeFrameAt(bytes, offset);
  if (typeof frame !== 'string') return frame;
  return isZero(bytes, offset) ? { kind: 'end' } : { kind: 'bad', reason: frame };
}

/**
 * The next whole frame at or after `offset`, wherever it begins: used to learn whether a bad
 * frame is followed by one that proves it was durable.
 */
export function nextWholeFrame(
  bytes: Uint8Array,
  offset: number,
): { readonly header: FrameHeader; readonly offset: number; readonly end: number } | null {
  const magic = Uint8Array.of(0x45, 0x56, 0x4c, 0x46);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = buffer.indexOf(magic, offset);
  while (at !== -1) {
    const frame = at % ALIGNMENT === 0 ? wholeFrameAt(bytes, at) : 'not aligned';
    if (typeof frame !== 'string') return { header: frame.header, offset: at, end: frame.end };
    at = buffer.indexOf(magic, at + 1);
  }
  return null;
}

function wholeFrameAt(
  bytes: Uint8Array,
  offset: number,
): Extract<FrameAt, { kind: 'frame' }> | string {
  if (offset + FRAME_HEADER_BYTES > bytes.length) return 'the frame header is cut';
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, FRAME_HEADER_BYTES);
  if (view.getUint32(0, true) !== FRAME_MAGIC) return 'no frame begins here';
  const length = view.getUint32(4, true);
  const end = offset + frameLength(length);
  if (end > bytes.length) return 'the frame is cut';
  if (view.getUint32(8, true) !== checksum(bytes.subarray(offset, end))) {
    return 'the checksum does not match';
  }
  const start = offset + FRAME_HEADER_BYTES;
  return {
    kind: 'frame',
    header: {
      epoch: readU64(view, 16),
      firstPosition: readU64(view, 24),
      lastPosition: readU64(view, 32),
      frontier: readU64(view, 40),
    },
    payload: bytes.subarray(start, start + length),
    end,
  };
}

/** The checksum of a whole frame: of its length and of all that follows the checksum itself. */
function checksum(frame: Uint8Array): number {
  return crc32(frame.subarray(12), crc32(frame.subarray(4, 8)));
}

/** Whether all bytes from `offset` on are zero. */
export function isZero(bytes: Uint8Array, offset: number): boolean {
  for (let at = offset; at < bytes.length; at += 1) if (bytes[at] !== 0) return false;
  return true;
}
