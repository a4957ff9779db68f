/**
 * Frames of the wire: a length as u32, big-endian, then one msgpack map of that many bytes.
 *
 * @module
 */
import { Buffer } from 'node:buffer';
import { type Options, Packr, RESERVE_START_SPACE, Unpackr } from 'msgpackr';
import { scanMsgpack } from './msgpack-scan.js';

const PREFIX_BYTES = 4;
const NO_BYTES: Uint8Array = new Uint8Array(0);

/** What is short may keep so much memory alive that it shares with others. */
const SHARED_BYTES_MAX = 16 * 1024;
/** Short messages share arenas of this size. */
const ARENA_BYTES = 8 * 1024;
/** An arena that a long message made msgpackr take is kept for the next one up to this size. */
const ARENA_BYTES_KEPT = 1024 * 1024;
/** Room behind a frame that is being gathered, for the beginning of the next one. */
const GATHER_BYTES_AHEAD = 64 * 1024;

// The declarations of msgpackr lack `skipValues` and the 'auto' of `int64AsType`.
const packrOptions: Options & { readonly skipValues: readonly unknown[] } = {
  useRecords: false,
  variableMapSize: true,
  encodeUndefinedAsNil: true,
  skipValues: [undefined],
};
const unpackrOptions: Options = {
  useRecords: false,
  mapsAsObjects: true,
  int64AsType: 'auto' as 'number',
};
const packr = new Packr(packrOptions);
const unpackr = new Unpackr(unpackrOptions);

/**
 * Encodes one message as a frame. Its bytes are never written again, and may share an arena of
 * a few KiB with other frames.
 *
 * Members whose value is `undefined` are left out at any depth; a Uint8Array becomes a bin.
 * Integers from 2^32 on are written as float64, which loses nothing up to 2^53: a receiver takes
 * integral floats where it expects integers. Strings must be well-formed, since lone surrogates do
 * not survive UTF-8.
 *
 * @example
 * socket.write(encodeFrame({ id: 1, type: 'stats' }));
 */
export function encodeFrame(message: object): Uint8Array {
  const frame = bytesOf(packr.pack(message, RESERVE_START_SPACE | PREFIX_BYTES));
  const length = frame.length - PREFIX_BYTES;
  frame[0] = length >>> 24;
  frame[1] = length >>> 16;
  frame[2] = length >>> 8;
  frame[3] = length;
  return frame;
}

/** What was packed, in memory that is not written again and holds not much else. */
function bytesOf(packed: Buffer): Uint8Array {
  const arena = packed.buffer;
  if (arena.byteLength <= SHARED_BYTES_MAX) return packed;
  const bytes = new Uint8Array(packed);
  const isKept = packed.length > ARENA_BYTES && arena.byteLength <= ARENA_BYTES_KEPT;
  packr.useBuffer(isKept ? Buffer.from(arena) : Buffer.allocUnsafeSlow(ARENA_BYTES));
  return bytes;
}

export interface FrameLimits {
  /** Most bytes that a frame may hold behind its length prefix. */
  readonly frameBytesMax: number;
  readonly itemsMax: number;
  readonly depthMax: number;
}

export type FrameResult =
  | {
      readonly kind: 'frame';
      readonly message: Record<string, unknown>;
      /** Bytes that the frame took on the wire, its length prefix included. */
      readonly bytes: number;
    }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'broken'; readonly reason: string };

const INCOMPLETE: FrameResult = { kind: 'incomplete' };

/**
 * Takes a byte stream apart into frames: `push` what arrives, then call `next` until it answers
 * something else than a frame. One frame is decoded for each call, so a caller that stops calling
 * holds bytes only.
 *
 * - Bytes that were handed out are never written again: bins of a message are views of memory that
 *   the decoder only reads, and that is a few KiB or at most about twice as large as their frame.
 * - Memory follows the bytes that came, never the length that a frame claims: once `next` has
 *   answered 'incomplete' the decoder holds at most about twice `bufferedBytes`.
 * - After 'broken' every answer is the same 'broken', and what is pushed is dropped.
 */
export class FrameDecoder {
  readonly #limits: FrameLimits;
  /**
   * The bytes from `#start` to `#end` are not decoded yet. Room behind `#end` is the decoder's own
   * to fill: a pushed chunk is held without any.
   */
  #held: Uint8Array = NO_BYTES;
  #start = 0;
  #end = 0;
  #broken: Extract<FrameResult, { kind: 'broken' }> | undefined;

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  /** Bytes that came and are not decoded yet. */
  get bufferedBytes(): number {
    return this.#end - this.#start;
  }

  /** The length of the frame of which a part came; 0 where it is not known yet. */
  get awaitedBytes(): number {
    return this.#frameLength() ?? 0;
  }

  /** Takes over the chunk: its memory must not change afterwards. */
  push(chunk: Uint8Array): void {
    if (this.#broken !== undefined || chunk.length === 0) return;
    if (this.#start === this.#end) {
      this.#hold(plain(chunk), chunk.length);
      return;
    }
    if (this.#end + chunk.length > this.#held.length) this.#gather(chunk.length);
    this.#held.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  next(): FrameResult {
    if (this.#broken !== undefined) return this.#broken;
    const length = this.#frameLength();
    if (length === undefined) return this.#waitForMore();
    if (length === 0) return this.#break('an empty frame');
    if (length > this.#limits.frameBytesMax) {
      return this.#break(`a frame of ${length} bytes, more than ${this.#limits.frameBytesMax}`);
    }
    if (this.bufferedBytes < PREFIX_BYTES + length) return this.#waitForMore();
    const body = this.#take(length);
    const refused = scanMsgpack(body, this.#limits);
    if (refused !== null) return this.#break(refused);
    try {
      const message = unpackr.unpack(body) as Record<string, unknown>;
      return { kind: 'frame', message, bytes: PREFIX_BYTES + length };
    } catch (error) {
      return this.#break(error instanceof Error ? error.message : String(error));
    }
  }

  /** The beginning of a frame may be held for long, so it must not pin the frames before it. */
  #waitForMore(): FrameResult {
    const isMostOfIt = this.bufferedBytes * 2 >= this.#held.buffer.byteLength;
    if (!isMostOfIt) this.#hold(this.#held.slice(this.#start, this.#end), this.bufferedBytes);
    return INCOMPLETE;
  }

  /** The length that the next frame claims, once its prefix is there. */
  #frameLength(): number | undefined {
    if (this.bufferedBytes < PREFIX_BYTES) return undefined;
    let length = 0;
    for (let at = this.#start; at < this.#start + PREFIX_BYTES; at += 1) {
      length = length * 256 + (this.#held[at] as number);
    }
    return length;
  }

  /**
   * Moves what is left into fresh memory with room for more. The room doubles, so that each byte
   * is moved a bounded number of times, but stops a little behind the frame that is being gathered.
   */
  #gather(incoming: number): void {
    const needed = this.bufferedBytes + incoming;
    const frameLength = this.#frameLength() ?? 0;
    const useful = PREFIX_BYTES + frameLength + GATHER_BYTES_AHEAD;
    const gathered = new Uint8Array(Math.max(needed, Math.min(2 * needed, useful)));
    gathered.set(this.#held.subarray(this.#start, this.#end));
    this.#hold(gathered, this.bufferedBytes);
  }

  /** Takes the frame behind the prefix; its bytes are all there. */
  #take(length: number): Uint8Array {
    const from = this.#start + PREFIX_BYTES;
    const to = from + length;
    const bytes = this.#held.subarray(from, to);
    // What pins much more memory than it holds is copied, since bins of it may be kept for long.
    const pinned = this.#held.buffer.byteLength;
    const body =
      pinned <= Math.max(SHARED_BYTES_MAX, 2 * length) ? bytes : plain(Buffer.from(bytes));
    this.#start = to;
    if (this.#start === this.#end) this.#hold(NO_BYTES, 0);
    return body;
  }

  #hold(bytes: Uint8Array, length: number): void {
    this.#held = bytes;
    this.#start = 0;
    this.#end = length;
  }

  #break(reason: string): FrameResult {
    this.#broken = { kind: 'broken', reason };
    this.#hold(NO_BYTES, 0);
    return this.#broken;
  }
}

/** A plain view: slices of a Buffer would be made in the slow way of its subclass. */
function plain({ buffer, byteOffset, byteLength }: Uint8Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/**
 * Encodes a value by itself, to be part of several frames.
 *
 * @example
 * const body = encodeValue({ seq: 1, generation: 1, text });
 */
export function encodeValue(value: object): Uint8Array {
  return bytesOf(packr.pack(value));
}

/** Fixmaps hold at most 15 members; their first byte counts them. */
const FIXMAP = 0x80;
const FIXMAP_MEMBERS_MAX = 15;

/**
 * Encodes a map up to the value of its last member, which the caller puts behind it.
 *
 * @param members all but the last, at most 14
 */
export function encodeMapUpTo(members: object, lastKey: string): Uint8Array {
  const head = encodeValue(members);
  const count = (head[0] as number) - FIXMAP;
  if (count < 0 || count >= FIXMAP_MEMBERS_MAX)
    throw new RangeError('the map has too many members');
  head[0] = FIXMAP + count + 1;
  return Buffer.concat([head, packr.pack(lastKey)]);
}

/** The head of an array of so many elements, at most 65,535. */
export function encodeArrayHead(length: number): Uint8Array {
  if (length < 16) return Uint8Array.of(0x90 + length);
  return Uint8Array.of(0xdc, length >> 8, length & 0xff);
}

/** The length prefix of a frame that consists of these parts. */
export function framePrefix(parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return Uint8Array.of(length >>> 24, length >>> 16, length >>> 8, length);
}
