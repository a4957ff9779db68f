/**
 * The index of a stream: where the line of each event lies, in seq order. It holds 28 bytes an
 * event, in columns that grow by chunks, so that a million events cost no second million.
 *
 * Invariant: seqs never decrease from row to row; rows of equal seq stand in the order in which
 * an old reader would meet them (file name, then line).
 *
 * @module
 */
import { type RowKind, rowKindKey } from '../storage/line-facts.js';

const CHUNK_ROWS = 4096;
const SMALL_ROWS = 32;
const ROW_BYTES = 28;
const KIND_BYTES = 300;

/** One event's place. */
export interface Row {
  readonly seq: number;
  /** Number of the stream's file. */
  readonly file: number;
  readonly offset: number;
  /** Length of the line without its LF. */
  readonly length: number;
  readonly kind: RowKind;
}

/** What is known of all rows of one kind. */
export interface KindRows {
  readonly kind: RowKind;
  count: number;
  firstRow: number;
  lastRow: number;
}

/** An index as plain data. */
export interface IndexParts {
  readonly chunks: readonly Chunk[];
  readonly kinds: readonly KindRows[];
  readonly length: number;
}

interface Chunk {
  readonly seqs: Float64Array;
  readonly offsets: Float64Array;
  readonly lengths: Uint32Array;
  readonly files: Uint32Array;
  readonly kinds: Uint32Array;
}

/** A stream's rows. */
export class StreamIndex {
  readonly #chunks: Chunk[];
  readonly #kinds: KindRows[];
  readonly #kindNumbers: Map<string, number>;
  /** Spares the key of kinds that were met as the very same object. */
  readonly #kindObjects: WeakMap<RowKind, number> = new WeakMap();
  #length: number;

  /** @param parts what `parts` of another index gave, on this or another thread */
  constructor(parts?: IndexParts) {
    this.#chunks = [...(parts?.chunks ?? [])];
    this.#kinds = [...(parts?.kinds ?? [])];
    this.#kindNumbers = new Map(this.#kinds.map(({ kind }, number) => [rowKindKey(kind), number]));
    this.#length = parts?.length ?? 0;
  }

  /** The index as plain data, to cross threads. */
  parts(): IndexParts {
    return { chunks: this.#chunks, kinds: this.#kinds, length: this.#length };
  }

  get length(): number {
    return this.#length;
  }

  /** Memory that the index takes, in bytes. */
  get bytes(): number {
    // Only the first chunk may be a small one.
    const first = this.#chunks[0]?.seqs.length ?? 0;
    const rows = first + Math.max(0, this.#chunks.length - 1) * CHUNK_ROWS;
    return rows * ROW_BYTES + this.#kinds.length * KIND_BYTES;
  }

  /** The kinds of rows, each with the count and bounds of its rows. */
  get kinds(): readonly KindRows[] {
    return this.#kinds;
  }

  /** The greatest seq, 0 when there are no rows. */
  get lastSeq(): number {
    return this.#length === 0 ? 0 : this.seqAt(this.#length - 1);
  }

  /** Adds a row; its seq must not be below the last one's. */
  add(row: Row): number {
    if (row.seq < this.lastSeq) {
      throw new Error(`row of seq ${row.seq} after seq ${this.lastSeq}: the index is in seq order`);
    }
    const at = this.#length;
    const chunk = this.#chunkFor(at);
    const slot = at % CHUNK_ROWS;
    const kind = this.#kindNumber(row.kind);
    chunk.seqs[slot] = row.seq;
    chunk.offsets[slot] = row.offset;
    chunk.lengths[slot] = row.length;
    chunk.files[slot] = row.file;
    chunk.kinds[slot] = kind;
    this.#length = at + 1;
    const rows = this.#kinds[kind] as KindRows;
    if (rows.count === 0) rows.firstRow = at;
    rows.lastRow = at;
    rows.count += 1;
    return at;
  }

  /** The row at a number that is below `length`. */
  row(at: number): Row {
    const chunk = this.#chunk(at);
    const slot = at % CHUNK_ROWS;
    return {
      seq: chunk.seqs[slot] as number,
      file: chunk.files[slot] as number,
      offset: chunk.offsets[slot] as number,
      length: chunk.lengths[slot] as number,
      kind: (this.#kinds[chunk.kinds[slot] as number] as KindRows).kind,
    };
  }

  seqAt(at: number): number {
    return this.#chunk(at).seqs[at % CHUNK_ROWS] as number;
  }

  /** The number of the row's kind, an index into `kinds`. */
  kindAt(at: number): number {
    return this.#chunk(at).kinds[at % CHUNK_ROWS] as number;
  }

  /** The number of the first row whose seq is greater than `seq`; `length` when there is none. */
  firstAfter(seq: number): number {
    let low = 0;
    let high = this.#length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.seqAt(middle) > seq) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** The number of the first row whose seq is `seq` or greater. */
  firstFrom(seq: number): number {
    return this.firstAfter(seq - 1);
  }

  /** The rows of a kind, or undefined when there never was one. */
  rowsOf(kind: RowKind): KindRows | undefined {
    const number = this.#kindNumbers.get(rowKindKey(kind));
    return number === undefined ? undefined : this.#kinds[number];
  }

  /** Moves the lines of a file that begin at an offset or behind it. */
  shift(file: number, from: number, by: number): void {
    for (let at = this.#length - 1; at >= 0; at -= 1) {
      const chunk = this.#chunk(at);
      const slot = at % CHUNK_ROWS;
      const offset = chunk.offsets[slot] as number;
      if (chunk.files[slot] === file && offset >= from) chunk.offsets[slot] = offset + by;
    }
  }

  #chunkFor(at: number): Chunk {
    if (at % CHUNK_ROWS === 0) this.#chunks.push(newChunk(this.#chunks.length === 0));
    else if (at === SMALL_ROWS && this.#chunks.length === 1) this.#widenFirst();
    return this.#chunk(at);
  }

  /** Most streams are short: the first chunk begins small. */
  #widenFirst(): void {
    const small = this.#chunks[0] as Chunk;
    const wide = newChunk(false);
    wide.seqs.set(small.seqs);
    wide.offsets.set(small.offsets);
    wide.lengths.set(small.lengths);
    wide.files.set(small.files);
    wide.kinds.set(small.kinds);
    this.#chunks[0] = wide;
  }

  #chunk(at: number): Chunk {
    return this.#chunks[Math.floor(at / CHUNK_ROWS)] as Chunk;
  }

  #kindNumber(kind: RowKind): number {
    const met = this.#kindObjects.get(kind);
    if (met !== undefined) return met;
    const key = rowKindKey(kind);
    let number = this.#kindNumbers.get(key);
    if (number === undefined) {
      number = this.#kinds.length;
      this.#kindNumbers.set(key, number);
      this.#kinds.push({ kind, count: 0, firstRow: 0, lastRow: 0 });
    }
    this.#kindObjects.set(kind, number);
    return number;
  }
}

function newChunk(small: boolean): Chunk {
  const rows = small ? SMALL_ROWS : CHUNK_ROWS;
  return {
    seqs: new Float64Array(rows),
    offsets: new Float64Array(rows),
    lengths: new Uint32Array(rows),
    files: new Uint32Array(rows),
    kinds: new Uint32Array(rows),
  };
}
