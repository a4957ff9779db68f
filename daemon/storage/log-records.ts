/**
 * The records in the payload of a commit-log frame. `docs/format.md` shows their bytes.
 *
 * Positions are not stored: a frame knows its first, and every event, adopted line and other
 * record takes the next one, in the order of the payload.
 *
 * @module
 */
import { ByteWriter } from './byte-codec.js';
import type { StreamName } from './layout.js';

const LF = 0x0a;
/** The type bytes of the records. */
export const RECORD_TYPE = {
  stream: 1,
  append: 2,
  deleteStream: 3,
  deleteRun: 4,
  adoptFiles: 5,
  adoptLines: 6,
  fence: 7,
} as const;
/** Flags of what an append or deletion is recognised by. */
export const HAS_IDENTITY = 1;
export const HAS_KEY = 2;
export const FINGERPRINT_BYTES = 16;

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

/** Where a line stands in the payload that it is part of. */
export interface PlacedInPayload {
  start: number;
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
  /** The stream that was named last. */
  #stream: { readonly life: StreamLife; readonly number: number } | null = null;
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

  /** Adds an append, and notes with its events where their lines stand in the payload. */
  append(retry: RetryFacts, events: readonly (LoggedEvent & PlacedInPayload)[]): void {
    // Definitions of streams stand before the record that uses them.
    for (const { stream } of events) this.#numberOf(stream);
    this.#writer.u8(RECORD_TYPE.append);
    this.#retry(retry);
    this.#events(events);
  }

  /** As `append`, of lines that another program appended to files of an open stream. */
  adoptLines(events: readonly (LoggedEvent & PlacedInPayload)[]): void {
    for (const { stream } of events) this.#numberOf(stream);
    this.#writer.u8(RECORD_TYPE.adoptLines);
    this.#events(events);
  }

  /** Adds the deletion of a stream, or of one run of it. */
  deletion(stream: StreamLife, deleted: Deletion): void {
    this.#single(deleted.runId === null ? RECORD_TYPE.deleteStream : RECORD_TYPE.deleteRun, stream);
    this.#retry(deleted.retry);
    this.#writer.u64(deleted.count);
    if (deleted.runId !== null) this.#writer.text(deleted.runId);
    this.#writer.texts(deleted.moved);
    this.#writer.texts(deleted.rewrites);
  }

  fence(stream: StreamLife, reason: string): void {
    this.#single(RECORD_TYPE.fence, stream);
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
    this.#single(RECORD_TYPE.adoptFiles, stream);
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
      writer.hex(retry.identity.clientId);
      writer.u64(retry.identity.number);
      writer.u64(retry.identity.lowest);
    }
    if (retry.key !== null) {
      writer.text(retry.key);
      writer.bytes(retry.fingerprint ?? new Uint8Array(FINGERPRINT_BYTES));
    }
  }

  #single(type: number, stream: StreamLife): void {
    const number = this.#numberOf(stream);
    this.#writer.u8(type);
    this.#writer.u32(number);
    this.#nextPosition += 1;
  }

  #events(events: readonly (LoggedEvent & PlacedInPayload)[]): void {
    const writer = this.#writer;
    writer.u32(events.length);
    for (const event of events) {
      writer.u32(this.#numberOf(event.stream));
      writer.u64(event.seq);
      writer.text(event.fileName);
      writer.u32(event.line.length + 1);
      event.start = writer.length;
      writer.bytes(event.line);
      writer.u8(LF);
      this.#nextPosition += 1;
    }
  }

  /** The number of a stream in this frame; its definition is written before its first use. */
  #numberOf(life: StreamLife): number {
    if (this.#stream?.life !== life) this.#stream = { life, number: this.#define(life) };
    return this.#stream.number;
  }

  #define({ journal, id, generation }: StreamLife): number {
    const key = `${journal}/${id}/${generation}`;
    const known = this.#streams.get(key);
    if (known !== undefined) return known;
    const number = this.#streams.size;
    this.#streams.set(key, number);
    this.#writer.u8(RECORD_TYPE.stream);
    this.#writer.u8(journal === 'turns' ? 0 : 1);
    this.#writer.text(id);
    this.#writer.u64(generation);
    return number;
  }
}
