/**
 * The records in the payload of a commit-log frame. `docs/format.md` shows their bytes.
 *
 * Positions are not stored: a frame knows its first, and every event, adopted line and other
 * record takes the next one, in the order of the payload.
 *
 * @module
 */
import type { Journal } from '../../shared/events.js';
import { ByteFormatError, ByteReader, ByteWriter } from './byte-codec.js';
import type { StreamName } from './layout.js';

const LF = 0x0a;
const TYPE = {
  stream: 1,
  append: 2,
  deleteStream: 3,
  deleteRun: 4,
  adoptFiles: 5,
  adoptLines: 6,
  fence: 7,
} as const;
const HAS_IDENTITY = 1;
const HAS_KEY = 2;
const FINGERPRINT_BYTES = 16;

/** A stream in one of its lives. */
export interface StreamLife extends StreamName {
  readonly generation: number;
}

/** Who sent an append, so that sending it again is recognised. */
export interface Identity {
  /** 32 hexadecimal digits. */
  readonly clientId: string;
  readonly number: number;
  /** The lowest number that the client still awaits. */
  readonly lowest: number;
}

/** What an append is recognised by when it is sent again. */
export interface RetryFacts {
  readonly identity: Identity | null;
  readonly key: string | null;
  /** 16 bytes that stand for the content, where there is a key. */
  readonly fingerprint: Uint8Array | null;
  /** When it was sealed, in milliseconds since 1970. */
  readonly atMs: number;
}

/** One event of an append. */
export interface LoggedEvent {
  readonly stream: StreamLife;
  readonly position: number;
  readonly seq: number;
  readonly fileName: string;
  /** The line without its LF. */
  readonly line: Uint8Array;
}

/** A file of a stream as far as its content is accounted for. */
export interface FileMark {
  readonly name: string;
  readonly length: number;
  /** The number of LFs in those bytes. */
  readonly lines: number;
  readonly lastLineLength: number;
  readonly lastLineChecksum: number;
}

/** Lines without a seq of their own: `count` of them from `offset` on are numbered from `firstSeq`. */
export interface NumberedRange {
  readonly fileName: string;
  readonly offset: number;
  readonly count: number;
  readonly firstSeq: number;
}

/** What is deleted of a stream. */
export interface Deletion {
  readonly retry: RetryFacts;
  /** The number of events that are gone with it. */
  readonly count: number;
  /** The run, or null for the whole stream. */
  readonly runId: string | null;
  /** Files that go to the trash. */
  readonly moved: readonly string[];
  /** Files that are written anew without the run's lines. */
  readonly rewrites: readonly string[];
}

/** A record as recovery and readers of positions see it. */
export type LogRecord =
  | { readonly type: 'append'; readonly retry: RetryFacts; readonly events: readonly LoggedEvent[] }
  | ({
      readonly type: 'deleteStream' | 'deleteRun';
      readonly stream: StreamLife;
      readonly position: number;
    } & Deletion)
  | {
      readonly type: 'adoptFiles';
      readonly stream: StreamLife;
      readonly position: number;
      readonly lastSeq: number;
      readonly files: readonly FileMark[];
      readonly ranges: readonly NumberedRange[];
    }
  | { readonly type: 'adoptLines'; readonly events: readonly LoggedEvent[] }
  | {
      readonly type: 'fence';
      readonly stream: StreamLife;
      readonly position: number;
      readonly reason: string;
    };

/** Builds the payload of one frame. */
export class LogPayload {
  readonly #writer: ByteWriter = new ByteWriter();
  readonly #streams: Map<string, number> = new Map();
  readonly firstPosition: number;
  #nextPosition: number;

  constructor(firstPosition: number) {
    this.firstPosition = firstPosition;
    this.#nextPosition = firstPosition;
  }

  get nextPosition(): number {
    return this.#nextPosition;
  }

  get length(): number {
    return this.#writer.length;
  }

  /** The payload, valid until the next record. */
  view(): Uint8Array {
    return this.#writer.view();
  }

  /**
   * Adds an append and returns where the lines of its events stand in the payload, each with
   * its LF, as pairs of start and end.
   */
  append(
    retry: RetryFacts,
    events: readonly LoggedEvent[],
  ): readonly (readonly [number, number])[] {
    const streams = events.map((event) => this.#stream(event.stream));
    this.#writer.u8(TYPE.append);
    this.#retry(retry);
    return this.#events(events, streams);
  }

  /** Adds lines that another program appended to files of an open stream. */
  adoptLines(events: readonly LoggedEvent[]): void {
    const streams = events.map((event) => this.#stream(event.stream));
    this.#writer.u8(TYPE.adoptLines);
    this.#events(events, streams);
  }

  /** Adds the deletion of a stream, or of one run of it. */
  deletion(stream: StreamLife, deleted: Deletion): void {
    this.#single(deleted.runId === null ? TYPE.deleteStream : TYPE.deleteRun, stream);
    this.#retry(deleted.retry);
    this.#writer.u64(deleted.count);
    if (deleted.runId !== null) this.#writer.text(deleted.runId);
    this.#writer.texts(deleted.moved);
    this.#writer.texts(deleted.rewrites);
  }

  fence(stream: StreamLife, reason: string): void {
    this.#single(TYPE.fence, stream);
    this.#writer.text(reason);
  }

  adoptFiles(
    stream: StreamLife,
    adopted: {
      readonly lastSeq: number;
      readonly files: readonly FileMark[];
      readonly ranges: readonly NumberedRange[];
    },
  ): void {
    this.#single(TYPE.adoptFiles, stream);
    const writer = this.#writer;
    writer.u64(adopted.lastSeq);
    writer.u32(adopted.files.length);
    const names = new Map<string, number>();
    for (const file of adopted.files) {
      names.set(file.name, names.size);
      writer.text(file.name);
      writer.u64(file.length);
      writer.u64(file.lines);
      writer.u32(file.lastLineLength);
      writer.u32(file.lastLineChecksum);
    }
    writer.u32(adopted.ranges.length);
    for (const range of adopted.ranges) {
      writer.u32(names.get(range.fileName) ?? 0);
      writer.u64(range.offset);
      writer.u64(range.count);
      writer.u64(range.firstSeq);
    }
  }

  #retry(retry: RetryFacts): void {
    const writer = this.#writer;
    writer.u8((retry.identity === null ? 0 : HAS_IDENTITY) | (retry.key === null ? 0 : HAS_KEY));
    writer.u64(retry.atMs);
    if (retry.identity !== null) {
      writer.bytes(Buffer.from(retry.identity.clientId, 'hex'));
      writer.u64(retry.identity.number);
      writer.u64(retry.identity.lowest);
    }
    if (retry.key !== null) {
      writer.text(retry.key);
      writer.bytes(retry.fingerprint ?? new Uint8Array(FINGERPRINT_BYTES));
    }
  }

  #single(type: number, stream: StreamLife): void {
    const index = this.#stream(stream);
    this.#writer.u8(type);
    this.#writer.u32(index);
    this.#nextPosition += 1;
  }

  #events(
    events: readonly LoggedEvent[],
    streams: readonly number[],
  ): readonly (readonly [number, number])[] {
    const writer = this.#writer;
    const places: (readonly [number, number])[] = [];
    writer.u32(events.length);
    for (const [index, event] of events.entries()) {
      writer.u32(streams[index] ?? 0);
      writer.u64(event.seq);
      writer.text(event.fileName);
      writer.u32(event.line.length + 1);
      const start = writer.length;
      writer.bytes(event.line);
      writer.u8(LF);
      places.push([start, writer.length]);
      this.#nextPosition += 1;
    }
    return places;
  }

  /** The number of a stream in this frame; its definition is written before its first use. */
  #stream(stream: StreamLife): number {
    const key = `${stream.journal}/${stream.id}/${stream.generation}`;
    const known = this.#streams.get(key);
    if (known !== undefined) return known;
    const index = this.#streams.size;
    this.#streams.set(key, index);
    this.#writer.u8(TYPE.stream);
    this.#writer.u8(stream.journal === 'turns' ? 0 : 1);
    this.#writer.text(stream.id);
    this.#writer.u64(stream.generation);
    return index;
  }
}

/**
 * Reads the records of a frame's payload.
 *
 * @throws ByteFormatError when the payload is none, or holds a record type of a later format
 */
export function readLogPayload(payload: Uint8Array, firstPosition: number): LogRecord[] {
  return new PayloadReader(payload, firstPosition).records();
}

class PayloadReader {
  readonly #reader: ByteReader;
  readonly #streams: StreamLife[] = [];
  #position: number;

  constructor(payload: Uint8Array, firstPosition: number) {
    this.#reader = new ByteReader(payload);
    this.#position = firstPosition;
  }

  records(): LogRecord[] {
    const records: LogRecord[] = [];
    while (!this.#reader.done) {
      const record = this.#record();
      if (record !== null) records.push(record);
    }
    return records;
  }

  #record(): LogRecord | null {
    const reader = this.#reader;
    const type = reader.u8();
    switch (type) {
      case TYPE.stream: {
        const journal: Journal = reader.u8() === 0 ? 'turns' : 'runs';
        this.#streams.push({ journal, id: reader.text(), generation: reader.u64() });
        return null;
      }
      case TYPE.append: {
        const retry = this.#retry();
        return { type: 'append', retry, events: this.#events() };
      }
      case TYPE.adoptLines:
        return { type: 'adoptLines', events: this.#events() };
      case TYPE.deleteStream:
      case TYPE.deleteRun: {
        const placed = this.#placed();
        const retry = this.#retry();
        const count = reader.u64();
        const runId = type === TYPE.deleteRun ? reader.text() : null;
        const files = { moved: reader.texts(), rewrites: reader.texts() };
        return {
          type: runId === null ? 'deleteStream' : 'deleteRun',
          ...placed,
          retry,
          count,
          runId,
          ...files,
        };
      }
      case TYPE.fence:
        return { type: 'fence', ...this.#placed(), reason: reader.text() };
      case TYPE.adoptFiles:
        return this.#adoptFiles();
      default:
        throw new ByteFormatError(`record type ${type} is not of this format`);
    }
  }

  #placed(): { readonly stream: StreamLife; readonly position: number } {
    return { stream: this.#streamOf(this.#reader.u32()), position: this.#next() };
  }

  #retry(): RetryFacts {
    const reader = this.#reader;
    const flags = reader.u8();
    const atMs = reader.u64();
    const identity =
      (flags & HAS_IDENTITY) === 0
        ? null
        : {
            clientId: Buffer.from(reader.bytes(16)).toString('hex'),
            number: reader.u64(),
            lowest: reader.u64(),
          };
    const hasKey = (flags & HAS_KEY) !== 0;
    const key = hasKey ? reader.text() : null;
    const fingerprint = hasKey ? reader.bytes(FINGERPRINT_BYTES).slice() : null;
    return { identity, key, fingerprint, atMs };
  }

  #events(): LoggedEvent[] {
    const reader = this.#reader;
    const count = reader.u32();
    const events: LoggedEvent[] = [];
    for (let index = 0; index < count; index += 1) {
      const stream = this.#streamOf(reader.u32());
      const seq = reader.u64();
      const fileName = reader.text();
      const line = reader.sized();
      events.push({ stream, seq, fileName, line: line.subarray(0, -1), position: this.#next() });
    }
    return events;
  }

  #adoptFiles(): LogRecord {
    const reader = this.#reader;
    const placed = this.#placed();
    const lastSeq = reader.u64();
    const files: FileMark[] = [];
    for (let left = reader.u32(); left > 0; left -= 1) {
      files.push({
        name: reader.text(),
        length: reader.u64(),
        lines: reader.u64(),
        lastLineLength: reader.u32(),
        lastLineChecksum: reader.u32(),
      });
    }
    const ranges: NumberedRange[] = [];
    for (let left = reader.u32(); left > 0; left -= 1) {
      const file = files[reader.u32()];
      if (file === undefined) throw new ByteFormatError('a range names no file');
      ranges.push({
        fileName: file.name,
        offset: reader.u64(),
        count: reader.u64(),
        firstSeq: reader.u64(),
      });
    }
    return { type: 'adoptFiles', ...placed, lastSeq, files, ranges };
  }

  #streamOf(index: number): StreamLife {
    const stream = this.#streams[index];
    if (stream === undefined) throw new ByteFormatError(`stream ${index} is not defined`);
    return stream;
  }

  #next(): number {
    const position = this.#position;
    this.#position += 1;
    return position;
  }
}
