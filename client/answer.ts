/**
 * Gathers an answer that may span several frames.
 *
 * @module
 */
import { ProtocolError } from '../shared/errors.js';
import type { MalformedLine } from '../shared/events.js';
import type { Answer, WireAck, WireRow } from '../shared/protocol.js';

/** A row whose text is whole. */
export type WholeRow = Omit<WireRow, 'text'> & { readonly text: Uint8Array };

/** An answer whose frames have all come. */
export interface WholeAnswer {
  readonly rows: readonly WholeRow[];
  readonly malformed: readonly MalformedLine[];
  readonly ids: readonly string[];
  readonly acks: readonly WireAck[];
  readonly duplicate: boolean;
  readonly created: boolean | undefined;
  readonly count: number | undefined;
  readonly head: { readonly generation: number; readonly seq: number } | undefined;
  readonly stats: object | undefined;
}

/** The row whose text goes on in the next frame. */
interface SplitRow {
  readonly row: WireRow;
  readonly parts: Uint8Array[];
}

/** Collects the frames of one answer, in the order they come. */
export class AnswerCollector {
  readonly #rows: WholeRow[] = [];
  readonly #malformed: MalformedLine[] = [];
  readonly #ids: string[] = [];
  readonly #acks: WireAck[] = [];
  #split: SplitRow | null = null;

  /**
   * Takes the next frame.
   *
   * @returns the whole answer after its last frame, else null
   * @throws ProtocolError when the frame is no part of an answer
   */
  add(frame: Answer): WholeAnswer | null {
    this.#addRows(listOf(frame, 'rows'), frame.split === true);
    for (const line of listOf(frame, 'malformed')) this.#malformed.push(line);
    for (const id of listOf(frame, 'ids')) this.#ids.push(id);
    for (const ack of listOf(frame, 'acks')) this.#acks.push(ack);
    if (frame.more === true) return null;
    if (this.#split !== null) throw new ProtocolError('the answer ends inside a row', 'unknown');
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
    };
  }

  #addRows(rows: readonly WireRow[], isLastSplit: boolean): void {
    for (const [index, row] of rows.entries()) {
      const { text } = row;
      if (!(text instanceof Uint8Array)) throw new ProtocolError('a row has no text', 'unknown');
      const begun: SplitRow | null = this.#split;
      this.#split = null;
      if (isLastSplit && index === rows.length - 1) {
        this.#split = { row: begun?.row ?? row, parts: [...(begun?.parts ?? []), text] };
      } else if (begun === null) {
        this.#rows.push({ ...row, text });
      } else {
        this.#rows.push({ ...begun.row, text: Buffer.concat([...begun.parts, text]) });
      }
    }
  }
}

function listOf<Field extends 'rows' | 'malformed' | 'ids' | 'acks'>(
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
