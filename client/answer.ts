/**
 * Gathers an answer that may span several frames.
 *
 * @module
 */
import { ProtocolError } from '../shared/errors.js';
import type { MalformedLine, RunEvent, TurnEvent } from '../shared/events.js';
import type {
  Answer,
  WireAck,
  WireBackup,
  WireBackupProgress,
  WireRepairAction,
  WireRow,
} from '../shared/protocol.js';
import { decodeText } from './event-text.js';
import type { EventPlace } from './records.js';
import { RowJoiner } from './row-joiner.js';

/** A row with the event that its text is. */
export type EventRow = Omit<WireRow, 'text'> & { readonly event: TurnEvent | RunEvent };

/** Makes the record of a line. */
export type ReadLine = (line: string, place: EventPlace) => TurnEvent | RunEvent;

/** Told how far a backup has come. */
export type OnProgress = (progress: WireBackupProgress) => void;

/** An answer whose frames have all come. */
export interface WholeAnswer {
  readonly rows: readonly EventRow[];
  readonly malformed: readonly MalformedLine[];
  readonly ids: readonly string[];
  readonly acks: readonly WireAck[];
  readonly duplicate: boolean;
  readonly created: boolean | undefined;
  readonly count: number | undefined;
  readonly head: { readonly generation: number; readonly seq: number } | undefined;
  readonly stats: object | undefined;
  readonly actions: readonly WireRepairAction[];
  readonly applied: boolean;
  readonly backup: WireBackup | undefined;
}

/**
 * Collects the frames of one answer, in the order they come. Rows are read as they come, so that a
 * long answer never holds up the event loop at its end.
 */
export class AnswerCollector {
  readonly #readLine: ReadLine;
  readonly #onProgress: OnProgress | undefined;
  #rows: EventRow[] = [];
  #malformed: MalformedLine[] = [];
  #ids: string[] = [];
  #acks: WireAck[] = [];
  #joiner = new RowJoiner<WireRow>();

  constructor(readLine: ReadLine, onProgress?: OnProgress) {
    this.#readLine = readLine;
    this.#onProgress = onProgress;
  }

  /**
   * Takes the next frame.
   *
   * @returns the whole answer after its last frame, else null
   * @throws ProtocolError when the frame is no part of an answer
   */
  add(frame: Answer): WholeAnswer | null {
    if (frame.restart === true) this.#forget();
    this.#addRows(listOf(frame, 'rows'), frame.split === true);
    for (const line of listOf(frame, 'malformed')) this.#malformed.push(line);
    for (const id of listOf(frame, 'ids')) this.#ids.push(id);
    for (const ack of listOf(frame, 'acks')) this.#acks.push(ack);
    if (frame.progress !== undefined) this.#onProgress?.(frame.progress);
    if (frame.more === true) return null;
    if (this.#joiner.isInsideRow)
      throw new ProtocolError('the answer ends inside a row', 'unknown');
    return {
      rows: this.#rows,
      malformed: this.#malformed,
      ids: this.#ids,
      acks: this.#acks,
      duplicate: frame.duplicate === true,
      created: frame.created,
      count: frame.count,
      head: frame.head,
      stats: frame.stats,
      actions: listOf(frame, 'actions'),
      applied: frame.applied === true,
      backup: frame.backup,
    };
  }

  /** The daemon begins anew. */
  #forget(): void {
    this.#rows = [];
    this.#malformed = [];
    this.#ids = [];
    this.#acks = [];
    this.#joiner = new RowJoiner();
  }

  #addRows(rows: readonly WireRow[], isLastSplit: boolean): void {
    for (const [index, row] of rows.entries()) {
      const { text } = row;
      if (!(text instanceof Uint8Array)) throw new ProtocolError('a row has no text', 'unknown');
      const whole = this.#joiner.add(row, text, isLastSplit && index === rows.length - 1);
      if (whole !== null) this.#addRow(whole.row, whole.text);
    }
  }

  #addRow({ text: _text, ...row }: WireRow, text: Uint8Array): void {
    this.#rows.push({ ...row, event: this.#readLine(decodeText(text), row) });
  }
}

function listOf<Field extends 'rows' | 'malformed' | 'ids' | 'acks' | 'actions'>(
  frame: Answer,
  field: Field,
): NonNullable<Answer[Field]> | [] {
  const list = frame[field];
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) {
    throw new ProtocolError(`${field} of an answer is not an array`, 'unknown');
  }
  return list;
}
