/**
 * The seqs of lines: a line's own, the one that an adopted range gives it, or the next free one.
 *
 * Old turn lines have no seq and are numbered in file order; several files of one session are
 * numbered together by `created_at`, file and line. A run's line without a usable seq counts as
 * 0. What the catalog has numbered keeps its number.
 *
 * @module
 */
import type { Journal } from '../../shared/events.js';
import type { CatalogEntry } from '../storage/catalog-format.js';
import type { FileScan } from '../storage/file-scan.js';
import type { NumberedRange } from '../storage/log-records.js';

/** A line that the daemon wrote, beyond what the catalog knows of its file. */
export interface KnownLine {
  readonly fileName: string;
  readonly offset: number;
  readonly seq: number;
}

/** A file whose rows are to be numbered. */
interface NumberedFile {
  readonly name: string;
  readonly scan: FileScan;
  /** Rows before this offset are known to the catalog. */
  readonly knownLength: number;
}

/** A row that is numbered now. */
export interface NewRow {
  /** The number of its file in the order of names. */
  readonly file: number;
  readonly row: number;
  /** Its own, or less than 0 or NaN where it has none that is usable. */
  readonly seq: number;
  readonly createdAt: number;
}

/** Numbers the rows of one stream. */
export class Numbering {
  readonly #journal: Journal;
  readonly #life: CatalogEntry | null;
  /** Seqs of lines of ours, by file and offset. */
  readonly #ours: ReadonlyMap<string, number>;
  readonly #ranges: NumberedRange[];
  readonly #knownRanges: Map<string, NumberedRange[]>;
  #lastSeq: number;
  #clash: string | null = null;
  #foreign = false;
  #adopted = 0;

  constructor(journal: Journal, life: CatalogEntry | null, known: readonly KnownLine[]) {
    this.#ours = new Map(known.map((line) => [lineKey(line), line.seq]));
    this.#journal = journal;
    this.#life = life;
    this.#ranges = [...(life?.ranges ?? [])];
    this.#knownRanges = new Map();
    for (const range of this.#ranges) {
      const list = this.#knownRanges.get(range.fileName);
      if (list === undefined) this.#knownRanges.set(range.fileName, [range]);
      else list.push(range);
    }
    this.#lastSeq = life?.lastSeq ?? 0;
  }

  /** All ranges of lines that were numbered, old and new. */
  get ranges(): readonly NumberedRange[] {
    return this.#ranges;
  }

  /** Why the stream must be fenced, or null. */
  get clash(): string | null {
    return this.#clash;
  }

  /** Whether there were rows that the catalog does not know. */
  get foreign(): boolean {
    return this.#foreign;
  }

  /** The number of events of other programs among them. */
  get adopted(): number {
    return this.#adopted;
  }

  /** The seq of each row of each file. */
  number(files: readonly NumberedFile[]): readonly Float64Array[] {
    const seqs = files.map(({ scan }) => scan.rows.seqs.slice(0, scan.rows.count));
    const fresh: NewRow[] = [];
    for (const [file, { name, scan, knownLength }] of files.entries()) {
      const column = seqs[file] as Float64Array;
      const ranges = this.#knownRanges.get(name) ?? [];
      const nextInRange = rangeReader(ranges);
      let unnumbered = ranges.reduce((sum, { count }) => sum + count, 0);
      for (let row = 0; row < column.length; row += 1) {
        const offset = scan.rows.offsets[row] as number;
        const own = column[row] as number;
        if (offset >= knownLength) {
          this.#foreign = true;
          const given = this.#ours.get(lineKey({ fileName: name, offset }));
          if (given !== undefined && given === own) continue;
          if (given !== undefined && !(own >= 0) && this.#journal === 'turns') {
            // A foreign line that the log has numbered.
            column[row] = given;
            addToRanges(this.#ranges, { fileName: name, offset, seq: given });
            continue;
          }
          fresh.push({ file, row, seq: own, createdAt: scan.rows.createdAts[row] as number });
        } else if (!(own >= 0)) {
          column[row] = this.#journal === 'runs' ? 0 : nextInRange(offset);
          unnumbered -= 1;
        }
      }
      if (this.#journal === 'turns' && unnumbered !== 0) {
        this.#clash ??= `${name} no longer has all the lines that were numbered in it`;
      }
    }
    this.#numberFresh(fresh, files, seqs);
    return seqs;
  }

  #numberFresh(
    fresh: NewRow[],
    files: readonly NumberedFile[],
    seqs: readonly Float64Array[],
  ): void {
    if (this.#journal === 'turns' || this.#life !== null) sortForNumbering(this.#journal, fresh);
    this.#adopted = fresh.length;
    // In a life that is known every seq up to the last is taken; in one that begins, what the
    // lines claim is taken, and lines without a seq go between.
    const claimed = new Set(this.#life === null ? fresh.map(({ seq }) => seq) : []);
    for (const { file, row, seq } of fresh) {
      const column = seqs[file] as Float64Array;
      const { name, scan } = files[file] as NumberedFile;
      if (this.#journal === 'turns' && !(seq >= 0)) {
        let next = this.#lastSeq + 1;
        while (claimed.has(next)) next += 1;
        column[row] = next;
        this.#lastSeq = next;
        addToRanges(this.#ranges, {
          fileName: name,
          offset: scan.rows.offsets[row] as number,
          seq: next,
        });
        continue;
      }
      column[row] = seq >= 0 ? seq : 0;
      if (this.#life !== null && !(seq > this.#lastSeq)) {
        this.#clash ??= `${name} holds a foreign event of seq ${column[row]}, which is not above ${this.#lastSeq}`;
      }
      this.#lastSeq = Math.max(this.#lastSeq, column[row] as number);
    }
  }
}

/** Brings the rows that are met in a living stream into the order in which they are numbered. */
export function sortForNumbering(journal: Journal, rows: NewRow[]): void {
  if (journal === 'turns') {
    if (new Set(rows.map(({ file }) => file)).size < 2) return;
    rows.sort((a, b) => a.createdAt - b.createdAt || a.file - b.file || a.row - b.row);
    return;
  }
  // The files of one thread share their seqs: they clash only where one is taken already.
  const own = ({ seq }: NewRow): number => (seq >= 0 ? seq : 0);
  rows.sort((a, b) => own(a) - own(b) || a.file - b.file || a.row - b.row);
}

function lineKey(line: Omit<KnownLine, 'seq'>): string {
  return `${line.fileName}:${line.offset}`;
}

/** Adds a line to the ranges, to the last one where it goes on. */
export function addToRanges(
  ranges: NumberedRange[],
  line: { readonly fileName: string; readonly offset: number; readonly seq: number },
): void {
  const last = ranges.at(-1);
  if (last?.fileName === line.fileName && last.firstSeq + last.count === line.seq) {
    ranges[ranges.length - 1] = { ...last, count: last.count + 1 };
  } else {
    ranges.push({ fileName: line.fileName, offset: line.offset, count: 1, firstSeq: line.seq });
  }
}

/** Gives the seq of each line without one, asked in the order of the file. */
export function rangeReader(ranges: readonly NumberedRange[]): (offset: number) => number {
  const sorted = [...ranges].sort((a, b) => a.offset - b.offset);
  let at = -1;
  let used = 0;
  return (offset) => {
    while ((sorted[at + 1]?.offset ?? Number.POSITIVE_INFINITY) <= offset) {
      at += 1;
      used = 0;
    }
    const range = sorted[at];
    if (range === undefined) return 0;
    used += 1;
    return range.firstSeq + used - 1;
  };
}
