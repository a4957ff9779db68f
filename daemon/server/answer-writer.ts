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
  /** Resolves when the client is gone. */
  readonly left: Promise<void>;
}

/** Whose call is answered. */
export interface CallOwner {
  /** Answers with an error. */
  refuse(id: number, error: unknown): void;
  /** The call is over. */
  finished(call: Call): void;
}

/** A call, and what it took on the wire. */
export interface Call {
  readonly id: number;
  readonly bytes: number;
}

/** The answer to one call: in the end `end` or `fail`. */
export class AnswerWriter {
  readonly #sink: FrameSink;
  readonly #owner: CallOwner;
  readonly #call: Call;
  #rows: WireRow[] = [];
  #bytes = 0;
  #state: 'new' | 'begun' | 'over' = 'new';

  constructor(sink: FrameSink, owner: CallOwner, call: Call) {
    this.#sink = sink;
    this.#owner = owner;
    this.#call = call;
  }

  /** Resolves when the client has taken most of what was sent; rejects when it is gone. */
  async ready(): Promise<void> {
    await this.#sink.drained();
  }

  /** Resolves when nobody waits for the answer any more. */
  get left(): Promise<void> {
    return this.#sink.left;
  }

  /** Forgets what was added so far, also at the client: all of it is read anew. */
  restart(): void {
    this.#rows = [];
    this.#bytes = 0;
    if (this.#state === 'begun') this.#sink.send({ id: this.#call.id, more: true, restart: true });
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
    const rows = this.#rows.length === 0 ? undefined : this.#rows;
    this.#sink.send({ id: this.#call.id, rows, ...rest });
    this.#finish();
  }

  /** Sends an error in place of what is left. */
  fail(error: unknown): void {
    this.#owner.refuse(this.#call.id, error);
    this.#finish();
  }

  #finish(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#owner.finished(this.#call);
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
    if (this.#state === 'new') this.#state = 'begun';
    this.#sink.send({ id: this.#call.id, more: true, ...rows, ...part });
    await this.#sink.drained();
  }
}
