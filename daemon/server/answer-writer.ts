/**
 * Writes the frames of one answer: rows are gathered into frames of bounded size, a longer text
 * spans several, and the next is made only when the client takes the ones before it.
 *
 * @module
 */
import { ANSWER_FRAME_BYTES } from '../../shared/limits.js';
import type { Answer, WireRow } from '../../shared/protocol.js';

/** Where frames go. */
export interface FrameSink {
  send(message: object): void;
  /** Resolves when the client has taken most of what was sent; rejects when it is gone. */
  drained(): Promise<void>;
}

/** The answer to one call. */
export class AnswerWriter {
  readonly #sink: FrameSink;
  readonly #id: number;
  #rows: WireRow[] = [];
  #bytes = 0;
  #hasBegun = false;

  constructor(sink: FrameSink, id: number) {
    this.#sink = sink;
    this.#id = id;
  }

  /** Resolves when the client has taken most of what was sent; rejects when it is gone. */
  async ready(): Promise<void> {
    await this.#sink.drained();
  }

  /** Forgets the rows so far, for them to be read anew; false where some were sent already. */
  restart(): boolean {
    if (this.#hasBegun) return false;
    this.#rows = [];
    this.#bytes = 0;
    return true;
  }

  /** Adds a row; waits where the client is slow. */
  async row(row: WireRow): Promise<void> {
    const { text } = row;
    if (text !== null && text.length > ANSWER_FRAME_BYTES) return await this.#longRow(row, text);
    this.#rows.push(row);
    this.#bytes += (text?.length ?? 0) + 64;
    if (this.#bytes >= ANSWER_FRAME_BYTES) await this.#flush({});
  }

  /** Adds a part that is no row, such as ids, in a frame of its own. */
  async part(part: Partial<Answer>): Promise<void> {
    await this.#flush(part);
  }

  /** Sends the last frame. */
  end(rest: Partial<Answer> = {}): void {
    const rows = this.#rows.length === 0 ? {} : { rows: this.#rows };
    this.#sink.send({ id: this.#id, ...rows, ...rest });
  }

  async #longRow(row: WireRow, text: Uint8Array): Promise<void> {
    if (this.#rows.length > 0) await this.#flush({});
    let at = 0;
    let head: Omit<WireRow, 'text'> = row;
    while (text.length - at > ANSWER_FRAME_BYTES) {
      this.#rows = [{ ...head, text: text.subarray(at, at + ANSWER_FRAME_BYTES) }];
      await this.#flush({ split: true });
      at += ANSWER_FRAME_BYTES;
      head = { seq: row.seq, generation: row.generation };
    }
    this.#rows = [{ ...head, text: text.subarray(at) }];
    this.#bytes = text.length - at;
  }

  async #flush(part: Partial<Answer>): Promise<void> {
    const rows = this.#rows.length === 0 ? {} : { rows: this.#rows };
    this.#rows = [];
    this.#bytes = 0;
    this.#hasBegun = true;
    this.#sink.send({ id: this.#id, more: true, ...rows, ...part });
    await this.#sink.drained();
  }
}
