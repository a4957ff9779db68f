/**
 * Writes rows to one subscriber. What a row says is encoded once, however many subscribers get it:
 * a push is a head of its own and parts that all of them share.
 *
 * @module
 */
import {
  encodeArrayHead,
  encodeFrame,
  encodeMapUpTo,
  encodeValue,
  framePrefix,
} from '../../shared/frame-codec.js';
import { ANSWER_FRAME_BYTES } from '../../shared/limits.js';
import { type Push, rowCredit, type WireEvent } from '../../shared/protocol.js';

/** Rows of one push. */
const PUSH_ROWS_MAX = 10_000;

/** Where messages go. */
export interface PushSink {
  /** Sends a frame that is encoded already, in parts that others may share. */
  sendFrame(parts: readonly Uint8Array[]): void;
}

/** What was done for subscribers so far. */
export interface PushCounts {
  /** Events that were encoded. */
  encoded: number;
  /** Rows that were sent. */
  sent: number;
}

/** A row that is encoded: a long text takes several parts. */
export interface EncodedRow {
  readonly parts: readonly (readonly Uint8Array[])[];
  /** What it costs of a subscription's credit. */
  readonly credit: number;
}

/** An event as a row of its stream's subscriptions. */
export function encodeEvent(
  event: Omit<WireEvent, 'text'>,
  line: Uint8Array,
  counts: PushCounts,
): EncodedRow {
  counts.encoded += 1;
  const parts: (readonly Uint8Array[])[] = [];
  let at = 0;
  do {
    const text = line.subarray(at, at + ANSWER_FRAME_BYTES);
    parts.push([encodeValue({ ...event, text })]);
    at += ANSWER_FRAME_BYTES;
  } while (at < line.length);
  return { parts, credit: rowCredit(line.length) };
}

/** The row of those who follow everything, around the row of those who follow its stream. */
export function encodeEntry(
  entry: { readonly position: number; readonly journal: string; readonly streamId: string },
  event: EncodedRow,
): EncodedRow {
  const head = encodeMapUpTo(entry, 'event');
  return { parts: event.parts.map((part) => [head, ...part]), credit: event.credit };
}

/** A deletion as a row of those who follow everything. */
export function encodeRemoval(removal: {
  readonly position: number;
  readonly journal: string;
  readonly id: string;
  readonly runId: string | null;
}): EncodedRow {
  const { position, journal, id, runId } = removal;
  const row = {
    position,
    journal,
    streamId: id,
    ...(runId === null ? {} : { runId }),
    deleted: true,
  };
  return { parts: [[encodeValue(row)]], credit: rowCredit(0) };
}

/** The pushes of one subscription. */
export class PushWriter {
  readonly #sink: PushSink;
  readonly #subscription: number;
  readonly #counts: PushCounts;
  #rows: Uint8Array[] = [];
  #count = 0;
  #bytes = 0;

  constructor(sink: PushSink, subscription: number, counts: PushCounts) {
    this.#sink = sink;
    this.#subscription = subscription;
    this.#counts = counts;
  }

  /** Adds a row; it is sent with its neighbours at the next `flush`, if not before. */
  add(row: EncodedRow): void {
    this.#counts.sent += 1;
    const last = row.parts.length - 1;
    for (const [at, part] of row.parts.entries()) {
      if (at < last || this.#count >= PUSH_ROWS_MAX) this.flush();
      this.#take(part);
      if (at < last) this.#send({ split: true });
    }
    if (this.#bytes >= ANSWER_FRAME_BYTES) this.flush();
  }

  /** Sends the rows that wait. */
  flush(): void {
    if (this.#count > 0) this.#send({});
  }

  /** Sends a message behind the rows. */
  message(message: Push): void {
    this.flush();
    this.#sink.sendFrame([encodeFrame(message)]);
  }

  #take(part: readonly Uint8Array[]): void {
    this.#rows.push(...part);
    this.#count += 1;
    for (const { length } of part) this.#bytes += length;
  }

  #send(members: { readonly split?: true }): void {
    const head = encodeMapUpTo(
      { type: 'push', subscription: this.#subscription, ...members },
      'rows',
    );
    const parts = [head, encodeArrayHead(this.#count), ...this.#rows];
    this.#sink.sendFrame([framePrefix(parts), ...parts]);
    this.#rows = [];
    this.#count = 0;
    this.#bytes = 0;
  }
}
