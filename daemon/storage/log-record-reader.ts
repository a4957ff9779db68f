/**
 * Reads what `LogPayload` wrote.
 *
 * @module
 */
import type { Journal } from '../../shared/events.js';
import { ByteFormatError, ByteReader } from './byte-codec.js';
import {
  FINGERPRINT_BYTES,
  type FileMark,
  HAS_IDENTITY,
  HAS_KEY,
  type LoggedEvent,
  type LogRecord,
  type NumberedRange,
  RECORD_TYPE,
  type RetryFacts,
  type StreamLife,
} from './log-records.js';

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
      case RECORD_TYPE.stream: {
        const journal: Journal = reader.u8() === 0 ? 'turns' : 'runs';
        this.#streams.push({ journal, id: reader.text(), generation: reader.u64() });
        return null;
      }
      case RECORD_TYPE.append: {
        const retry = this.#retry();
        return { type: 'append', retry, events: this.#events() };
      }
      case RECORD_TYPE.adoptLines:
        return { type: 'adoptLines', events: this.#events() };
      case RECORD_TYPE.deleteStream:
      case RECORD_TYPE.deleteRun: {
        const placed = this.#placed();
        const retry = this.#retry();
        const count = reader.u64();
        const runId = type === RECORD_TYPE.deleteRun ? reader.text() : null;
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
      case RECORD_TYPE.fence:
        return { type: 'fence', ...this.#placed(), reason: reader.text() };
      case RECORD_TYPE.adoptFiles:
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
