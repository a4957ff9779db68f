/**
 * The seqs of a stream's lines and where they lie, as columns: 25 bytes an event, so that a long
 * thread can be checked across its files.
 *
 * @module
 */

const ROWS_START = 256;

/** A line with a seq of its own. */
export interface SeqRow {
  readonly seq: number;
  readonly file: number;
  readonly line: number;
  readonly offset: number;
  /** Whether the daemon has accounted for the line before. */
  readonly isKnown: boolean;
}

export class SeqColumns {
  #length = 0;
  #isSorted = true;
  #seqs = new Float64Array(ROWS_START);
  #offsets = new Float64Array(ROWS_START);
  #files = new Uint32Array(ROWS_START);
  #lines = new Uint32Array(ROWS_START);
  #known = new Uint8Array(ROWS_START);

  add(row: SeqRow): void {
    const at = this.#length;
    if (at === this.#seqs.length) this.#grow();
    this.#seqs[at] = row.seq;
    this.#offsets[at] = row.offset;
    this.#files[at] = row.file;
    this.#lines[at] = row.line;
    this.#known[at] = row.isKnown ? 1 : 0;
    if (at > 0 && row.seq < (this.#seqs[at - 1] as number)) this.#isSorted = false;
    this.#length = at + 1;
  }

  /** The rows by seq, those of equal seq in the order of file and line. */
  *inSeqOrder(): Generator<SeqRow> {
    const seqs = this.#seqs;
    const order = Uint32Array.from({ length: this.#length }, (_, at) => at);
    if (!this.#isSorted) order.sort((a, b) => (seqs[a] as number) - (seqs[b] as number) || a - b);
    for (const at of order) yield this.#row(at);
  }

  #row(at: number): SeqRow {
    return {
      seq: this.#seqs[at] as number,
      offset: this.#offsets[at] as number,
      file: this.#files[at] as number,
      line: this.#lines[at] as number,
      isKnown: this.#known[at] === 1,
    };
  }

  #grow(): void {
    const size = this.#seqs.length * 2;
    this.#seqs = copied(new Float64Array(size), this.#seqs);
    this.#offsets = copied(new Float64Array(size), this.#offsets);
    this.#files = copied(new Uint32Array(size), this.#files);
    this.#lines = copied(new Uint32Array(size), this.#lines);
    this.#known = copied(new Uint8Array(size), this.#known);
  }
}

function copied<T extends Float64Array | Uint32Array | Uint8Array>(target: T, source: T): T {
  target.set(source);
  return target;
}
