/**
 * Reads a journal file line by line: which lines are events and what they say, which are
 * malformed, and where the accounted content ends. Runs on worker threads.
 *
 * @module
 */
import { fstatSync, readSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { Journal } from '../../shared/events.js';
import { MALFORMED_RAW_BYTES_MAX } from '../../shared/limits.js';
import { lineFacts, type RowKind, rowKindKey } from './line-facts.js';
import type { FileMark } from './log-records.js';

const LF = 0x0a;
const NO_BYTES = new Uint8Array(0);
const CHUNK_BYTES = 4 * 1024 * 1024;
const ROWS_START = 64;
/** How far the rest of a line is looked at that had no LF. */
const LINE_REST_BYTES = 1024;

/** A malformed line of a file. */
export interface ScannedDamage {
  readonly line: number;
  readonly offset: number;
  readonly length: number;
  readonly raw: string;
  /** Whether it is the end of the file, without an LF. */
  readonly torn: boolean;
}

/** The events of a scanned range as columns, so that they cross threads without copying. */
interface ScannedRows {
  readonly count: number;
  readonly offsets: Float64Array;
  readonly lengths: Uint32Array;
  /** NaN where the line has no seq, -1 where it has one that is unusable. */
  readonly seqs: Float64Array;
  readonly createdAts: Float64Array;
  /** Indexes into `kindTable`. */
  readonly kinds: Uint32Array;
  readonly kindTable: readonly RowKind[];
}

/** What a scan of a file from an offset to its end found. */
export interface FileScan {
  readonly size: number;
  /** The file up to its last whole line, or to its end where that is an event without an LF. */
  readonly mark: FileMark;
  /** Whether the byte before the file's end is an LF (or the file is empty). */
  readonly endsWithLf: boolean;
  readonly rows: ScannedRows;
  readonly damage: readonly ScannedDamage[];
}

/** Where a scan begins: at a line's start, with the number of LFs before it. */
export interface ScanStart {
  readonly offset: number;
  readonly lines: number;
  /** How much is read at once; lines may be longer. */
  readonly chunkBytes?: number;
  /** Where it ends, if not at the file's end: a line that goes on there is left out. */
  readonly to?: number;
  /** The number of events after which it ends. */
  readonly eventsMax?: number;
}

/** Grows columns of rows. */
class RowColumns {
  count = 0;
  #offsets = new Float64Array(ROWS_START);
  #lengths = new Uint32Array(ROWS_START);
  #seqs = new Float64Array(ROWS_START);
  #createdAts = new Float64Array(ROWS_START);
  #kinds = new Uint32Array(ROWS_START);
  readonly #kindTable: RowKind[] = [];
  readonly #kindIndex: Map<string, number> = new Map();

  add(
    offset: number,
    length: number,
    facts: { seq: number | null; createdAt: number; kind: RowKind },
  ): void {
    const at = this.count;
    if (at === this.#offsets.length) this.#grow();
    this.#offsets[at] = offset;
    this.#lengths[at] = length;
    this.#seqs[at] = facts.seq ?? Number.NaN;
    this.#createdAts[at] = facts.createdAt;
    this.#kinds[at] = this.#kindOf(facts.kind);
    this.count += 1;
  }

  finish(): ScannedRows {
    return {
      count: this.count,
      offsets: this.#offsets,
      lengths: this.#lengths,
      seqs: this.#seqs,
      createdAts: this.#createdAts,
      kinds: this.#kinds,
      kindTable: this.#kindTable,
    };
  }

  #kindOf(kind: RowKind): number {
    const key = rowKindKey(kind);
    const known = this.#kindIndex.get(key);
    if (known !== undefined) return known;
    const index = this.#kindTable.length;
    this.#kindIndex.set(key, index);
    this.#kindTable.push(kind);
    return index;
  }

  #grow(): void {
    const size = this.#offsets.length * 2;
    this.#offsets = copied(new Float64Array(size), this.#offsets);
    this.#lengths = copied(new Uint32Array(size), this.#lengths);
    this.#seqs = copied(new Float64Array(size), this.#seqs);
    this.#createdAts = copied(new Float64Array(size), this.#createdAts);
    this.#kinds = copied(new Uint32Array(size), this.#kinds);
  }
}

function copied<T extends Float64Array | Uint32Array>(target: T, source: T): T {
  target.set(source);
  return target;
}

/**
 * Scans a file from a line's start to its end, or to where the scan is told to end.
 *
 * @param fd a descriptor that can be read
 * @param name the file's name, for its mark
 */
export function scanFile(fd: number, journal: Journal, name: string, start: ScanStart): FileScan {
  const rows = new RowColumns();
  const damage: ScannedDamage[] = [];
  const size = fstatSync(fd).size;
  const to = Math.min(size, start.to ?? size);
  const eventsMax = start.eventsMax ?? Number.POSITIVE_INFINITY;
  let lines = start.lines;
  let accounted = start.offset;
  let lastLength = 0;
  let lastLine: Uint8Array = NO_BYTES;
  const range = { from: start.offset, to, chunkBytes: start.chunkBytes ?? CHUNK_BYTES };
  const end = eachLineIn(fd, range, (line, offset, terminated) => {
    if (rows.count >= eventsMax || (!terminated && to < size)) return;
    const length = line.length + (terminated ? 1 : 0);
    const facts = isBlank(line) ? undefined : lineFacts(journal, line);
    if (facts === null) damage.push(damaged(line, lines + 1, offset, !terminated));
    else if (facts !== undefined) rows.add(offset, line.length, facts);
    if (terminated) lines += 1;
    if (!terminated && facts === null) return;
    accounted = offset + length;
    lastLength = length;
    lastLine = line;
  });
  return {
    size,
    mark: {
      name,
      length: accounted,
      lines,
      lastLineLength: lastLength,
      lastLineChecksum: lastLength === 0 ? 0 : crc32(lastLine),
    },
    endsWithLf: end,
    rows: rows.finish(),
    damage,
  };
}

/**
 * Calls back for each line between two offsets. The line is a view, of memory that is never
 * written again and as large as what is read at once.
 *
 * @returns whether the range ends with an LF, or is empty
 */
export function eachLine(
  fd: number,
  from: number,
  to: number,
  visit: (line: Buffer, offset: number, terminated: boolean) => void,
): boolean {
  return eachLineIn(fd, { from, to, chunkBytes: CHUNK_BYTES }, visit);
}

function eachLineIn(
  fd: number,
  range: { readonly from: number; readonly to: number; readonly chunkBytes: number },
  visit: (line: Buffer, offset: number, terminated: boolean) => void,
): boolean {
  const { from, to, chunkBytes } = range;
  let carried: Buffer = Buffer.alloc(0);
  let at = from;
  while (at < to) {
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, to - at));
    const read = readSync(fd, chunk, 0, chunk.length, at);
    if (read === 0) break;
    const bytes =
      carried.length === 0
        ? chunk.subarray(0, read)
        : Buffer.concat([carried, chunk.subarray(0, read)]);
    const base = at - carried.length;
    let start = 0;
    // What was carried holds no LF, so a long line is not searched again and again.
    let lf = bytes.indexOf(LF, carried.length);
    while (lf !== -1) {
      visit(bytes.subarray(start, lf), base + start, true);
      start = lf + 1;
      lf = bytes.indexOf(LF, start);
    }
    carried = bytes.subarray(start);
    at += read;
  }
  if (carried.length === 0) return true;
  visit(carried, at - carried.length, false);
  return false;
}

/** The mark of a file up to its first line that has one of these seqs of its own. */
export function linesBefore(
  fd: number,
  stop: { readonly name: string; readonly journal: Journal; readonly seqs: ReadonlySet<number> },
): FileMark {
  const { name, journal, seqs } = stop;
  let mark: FileMark = { name, length: 0, lines: 0, lastLineLength: 0, lastLineChecksum: 0 };
  let isBefore = true;
  eachLine(fd, 0, fstatSync(fd).size, (line, offset, terminated) => {
    if (!isBefore) return;
    const facts = isBlank(line) ? undefined : lineFacts(journal, line);
    if (facts?.seq !== undefined && facts.seq !== null && seqs.has(facts.seq)) isBefore = false;
    if (!isBefore || (!terminated && facts === null)) return;
    const length = line.length + (terminated ? 1 : 0);
    mark = {
      name,
      length: offset + length,
      lines: mark.lines + (terminated ? 1 : 0),
      lastLineLength: length,
      lastLineChecksum: crc32(line),
    };
  });
  return mark;
}

/** The bytes between two offsets, fewer where the file ends before. */
export function readRange(fd: number, from: number, to: number): Buffer {
  const bytes = Buffer.alloc(Math.max(0, to - from));
  let filled = 0;
  while (filled < bytes.length) {
    const read = readSync(fd, bytes, filled, bytes.length - filled, from + filled);
    if (read === 0) break;
    filled += read;
  }
  return bytes.subarray(0, filled);
}

/** Whether a line holds nothing but white space that JSON knows. */
export function isBlank(line: Uint8Array): boolean {
  for (const byte of line) {
    if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  }
  return true;
}

/**
 * Whether a file still has, up to a mark's length, the last line that the mark knows, and nothing
 * was added to that line where it had no LF.
 */
export function matchesMark(fd: number, mark: FileMark): boolean {
  const { size } = fstatSync(fd);
  if (size < mark.length) return false;
  if (mark.lastLineLength === 0) return true;
  const bytes = Buffer.allocUnsafe(mark.lastLineLength);
  const read = readSync(fd, bytes, 0, bytes.length, mark.length - bytes.length);
  if (read !== bytes.length) return false;
  const isEnded = bytes.at(-1) === LF;
  const line = isEnded ? bytes.subarray(0, -1) : bytes;
  if (crc32(line) !== mark.lastLineChecksum) return false;
  return isEnded || endsHere(fd, mark.length, size);
}

/** Whether only white space follows in the line that goes on at an offset. */
function endsHere(fd: number, offset: number, size: number): boolean {
  const rest = readRange(fd, offset, Math.min(size, offset + LINE_REST_BYTES));
  const lf = rest.indexOf(LF);
  return isBlank(lf === -1 ? rest : rest.subarray(0, lf));
}

/** A malformed line as it is reported. */
export function damaged(
  line: Buffer,
  number: number,
  offset: number,
  torn: boolean,
): ScannedDamage {
  return {
    line: number,
    offset,
    length: line.length,
    raw: line.subarray(0, MALFORMED_RAW_BYTES_MAX).toString('utf8'),
    torn,
  };
}
