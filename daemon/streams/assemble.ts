/**
 * Makes a stream of what its files hold and what the catalog knows of them: which lines are
 * known, which are new and foreign, how lines without a seq are numbered, and whether the stream
 * must be fenced. Pure; runs on a worker thread, for files may be large.
 *
 * @module
 */
import type { Journal, MalformedLine } from '../../shared/events.js';
import { ADOPTED_RANGES_MAX, EQUAL_SEQ_ROWS_MAX } from '../../shared/limits.js';
import type { CatalogEntry } from '../storage/catalog-format.js';
import type { FileScan, ScannedDamage } from '../storage/file-scan.js';
import type { RunRowKind, TurnRowKind } from '../storage/line-facts.js';
import type { FileMark, NumberedRange } from '../storage/log-records.js';
import { type KnownLine, Numbering } from './numbering.js';
import { type IndexParts, StreamIndex } from './stream-index.js';
import { type TurnParts, TurnStates } from './turn-states.js';

/** A file that was scanned from its start. */
export interface ScannedFile {
  readonly name: string;
  readonly scan: FileScan;
  /** Whether the file still holds what the catalog knows of it; true for a file that is new. */
  readonly intact: boolean;
}

export type { KnownLine };

/** A malformed line and where it lies. */
export interface Damage extends MalformedLine {
  readonly file: number;
  readonly offset: number;
}

/** The content of a stream. */
export interface AssembledStream {
  /** Whether the catalog's life goes on; else what was found begins a new one. */
  readonly continues: boolean;
  readonly lastSeq: number;
  readonly lastCreatedAtUs: number;
  readonly files: readonly {
    readonly mark: FileMark;
    readonly size: number;
    readonly endsWithLf: boolean;
  }[];
  readonly index: IndexParts;
  readonly turns: TurnParts;
  readonly ranges: readonly NumberedRange[];
  readonly damage: readonly Damage[];
  /** Whether lines were met that the catalog does not know: they are adopted before they show. */
  readonly foreign: boolean;
  /** The number of other programs' events among them. */
  readonly adopted: number;
  readonly fence: string | null;
}

/** All turns' rows share a kind in the index: their states are kept apart. */
export const TURN_ROW: TurnRowKind = { journal: 'turns', turnId: '', streamId: '', role: 'other' };

/**
 * @param found the stream's files, in the order of their names, and the lines beyond the
 *   catalog's marks that the daemon itself wrote
 */
export function assembleStream(
  journal: Journal,
  entry: CatalogEntry | null,
  found: { readonly files: readonly ScannedFile[]; readonly known: readonly KnownLine[] },
): AssembledStream {
  const { files } = found;
  const known = new Map((entry?.files ?? []).map((mark) => [mark.name, mark]));
  const present = files.filter((file) => known.has(file.name));
  // A life ends with its last file; what else lies there then is another one.
  const ours = new Set(found.known.map(({ fileName }) => fileName));
  const isAlive = present.length > 0 || files.some(({ name }) => ours.has(name));
  const continues = entry !== null && (known.size === 0 || isAlive);
  const life = continues ? entry : null;
  const marks = continues ? known : new Map<string, FileMark>();
  const numbering = new Numbering(journal, life, found.known);
  const problem = life?.fence ?? fenceForDamage(files);
  const seqs = numbering.number(
    files.map((file) => ({ ...file, knownLength: marks.get(file.name)?.length ?? 0 })),
  );
  const { index, turns, lastCreatedAt } = indexRows(journal, files, seqs);
  const ranges = numbering.ranges;
  return {
    continues,
    lastSeq: Math.max(life?.lastSeq ?? 0, index.lastSeq),
    lastCreatedAtUs: Math.max(
      life?.lastCreatedAtUs ?? 0,
      journal === 'turns' ? Math.floor(lastCreatedAt * 1_000_000) : lastCreatedAt,
    ),
    files: files.map(({ scan }) => ({
      mark: scan.mark,
      size: scan.size,
      endsWithLf: scan.endsWithLf,
    })),
    index: index.parts(),
    turns: turns.parts(),
    ranges,
    damage: files.flatMap(({ scan }, file) => scan.damage.map((one) => damageOf(one, file, files))),
    foreign: numbering.foreign || (continues && present.length < known.size),
    adopted: numbering.adopted,
    fence: problem ?? numbering.clash ?? fenceForSize(index, ranges),
  };
}

function fenceForDamage(files: readonly ScannedFile[]): string | null {
  const changed = files.find((file) => !file.intact);
  return changed === undefined ? null : `${changed.name} was cut or replaced by another program`;
}

function fenceForSize(index: StreamIndex, ranges: readonly NumberedRange[]): string | null {
  if (ranges.length > ADOPTED_RANGES_MAX) {
    return `more than ${ADOPTED_RANGES_MAX} foreign ranges`;
  }
  for (let row = EQUAL_SEQ_ROWS_MAX; row < index.length; row += 1) {
    if (index.seqAt(row) === index.seqAt(row - EQUAL_SEQ_ROWS_MAX)) {
      return `more than ${EQUAL_SEQ_ROWS_MAX} events have seq ${index.seqAt(row)}`;
    }
  }
  return null;
}

/** A malformed line of one of a stream's files. */
export function damageOf(
  one: ScannedDamage,
  file: number,
  files: readonly { readonly name: string }[],
): Damage {
  const shown = Buffer.byteLength(one.raw) < one.length ? { rawBytes: one.length } : {};
  const shard = files.length > 1 ? { shard: (files[file] as { readonly name: string }).name } : {};
  return { line: one.line, raw: one.raw, ...shown, ...shard, file, offset: one.offset };
}

/** Puts all rows in seq order, rows of equal seq in the order of file and line. */
function indexRows(
  journal: Journal,
  files: readonly ScannedFile[],
  seqs: readonly Float64Array[],
): { readonly index: StreamIndex; readonly turns: TurnStates; readonly lastCreatedAt: number } {
  const index = new StreamIndex();
  const turns = new TurnStates();
  let lastCreatedAt = 0;
  const order = inSeqOrder(seqs);
  for (let nth = 0; nth < order.rows.length; nth += 1) {
    const file = order.files[nth] as number;
    const at = order.rows[nth] as number;
    const { rows } = (files[file] as ScannedFile).scan;
    const kind = rows.kindTable[rows.kinds[at] as number] as TurnRowKind | RunRowKind;
    const row = index.add({
      seq: order.seqs[nth] as number,
      file,
      offset: rows.offsets[at] as number,
      length: rows.lengths[at] as number,
      kind: journal === 'turns' ? TURN_ROW : kind,
    });
    lastCreatedAt = rows.createdAts[at] as number;
    if (kind.journal === 'turns') turns.add(row, kind, lastCreatedAt);
  }
  return { index, turns, lastCreatedAt };
}

/** All rows by seq, then file, then row: as columns, since an object for each would cost as much as all else. */
interface RowOrder {
  readonly seqs: Float64Array;
  readonly files: Uint32Array;
  readonly rows: Uint32Array;
}

function inSeqOrder(columns: readonly Float64Array[]): RowOrder {
  const total = columns.reduce((sum, column) => sum + column.length, 0);
  const files = new Uint32Array(total);
  const rows = new Uint32Array(total);
  const seqs = new Float64Array(total);
  let at = 0;
  let sorted = true;
  for (const [file, column] of columns.entries()) {
    for (let row = 0; row < column.length; row += 1) {
      const seq = column[row] as number;
      if (at > 0 && seq < (seqs[at - 1] as number)) sorted = false;
      files[at] = file;
      rows[at] = row;
      seqs[at] = seq;
      at += 1;
    }
  }
  if (sorted) return { seqs, files, rows };
  const order = new Uint32Array(total).map((_, nth) => nth);
  order.sort((a, b) => (seqs[a] as number) - (seqs[b] as number) || a - b);
  return {
    seqs: new Float64Array(total).map((_, nth) => seqs[order[nth] as number] as number),
    files: order.map((nth) => files[nth] as number),
    rows: order.map((nth) => rows[nth] as number),
  };
}
