/**
 * Sealing of lines that other programs appended to an open stream: they are numbered in the order
 * in which they are adopted, above all that is assigned.
 *
 * @module
 */
import { ADOPTED_RANGES_MAX } from '../../shared/limits.js';
import type { RowKind } from '../storage/line-facts.js';
import { type NewRow, sortForNumbering } from '../streams/numbering.js';
import type { FileTail, Stream } from '../streams/stream.js';
import type { AdoptLinesOperation } from './operations.js';
import type { Batch } from './seal.js';
import type { Answer } from './sealer.js';
import type { SealedEvent } from './stream-draft.js';

/** An adopted line that is numbered. */
export type NumberedLine = Pick<
  AdoptedEvent,
  'seq' | 'file' | 'line' | 'kind' | 'createdAt' | 'createdAtUs' | 'offset' | 'isNumbered'
>;

/** A line of another program in the log. */
export interface AdoptedEvent extends SealedEvent {
  /** Whether its seq is not its own. */
  readonly isNumbered: boolean;
}

/** The lines of other programs that a batch takes in. */
export interface AdoptedLines {
  readonly stream: Stream;
  readonly tails: readonly FileTail[];
  /** In the order of their positions. */
  readonly events: readonly AdoptedEvent[];
}

/** Seals an adoption; null when there was nothing to make durable and it was answered. */
export function sealLines(operation: AdoptLinesOperation, batch: Batch): Answer | null {
  const { tails, settle } = operation;
  const [stream] = operation.streams;
  if (!isStill(stream, tails)) {
    settle.resolve('stale');
    return null;
  }
  const rows = foreignRows(tails);
  sortForNumbering(stream.name.journal, rows);
  if (rows.length === 0) {
    // No events: blank and malformed lines, and our own, of which all is durable.
    for (const tail of tails) stream.account(tail);
    settle.resolve('adopted');
    return null;
  }
  const events = numbered(stream, { tails, rows, lastSeq: batch.lastSeq(stream) });
  if (events === null) {
    settle.resolve('reload');
    return null;
  }
  batch.adopt(stream, tails, events);
  return {
    // A stream of too many ranges is fenced by what reads it anew.
    done: () => settle.resolve(stream.ranges.length > ADOPTED_RANGES_MAX ? 'reload' : 'adopted'),
  };
}

/** Whether the stream is the one that the tails were read for. */
function isStill(stream: Stream, tails: readonly FileTail[]): boolean {
  return (
    stream.state.kind === 'ready' && tails.every(({ file }) => stream.file(file.name) === file)
  );
}

/** The rows that are other programs' and not in the stream yet. */
function foreignRows(tails: readonly FileTail[]): NewRow[] {
  return tails.flatMap(({ file, scan: { rows } }, tail) => {
    const ours = new Set(file.own.map(({ offset }) => offset));
    const fresh: NewRow[] = [];
    for (let row = 0; row < rows.count; row += 1) {
      const offset = rows.offsets[row] as number;
      if (offset < file.mark.length || ours.has(offset)) continue;
      const seq = rows.seqs[row] as number;
      fresh.push({ file: tail, row, seq, createdAt: rows.createdAts[row] as number });
    }
    return fresh;
  });
}

/** Gives each row its seq; null where one has a seq of its own that is not above all others. */
function numbered(
  stream: Stream,
  found: {
    readonly tails: readonly FileTail[];
    readonly rows: readonly NewRow[];
    readonly lastSeq: number;
  },
): NumberedLine[] | null {
  const { journal } = stream.name;
  const events: NumberedLine[] = [];
  let last = found.lastSeq;
  for (const { file: at, row, seq: own, createdAt } of found.rows) {
    const isNumbered = journal === 'turns' && !(own >= 0);
    const seq = isNumbered ? last + 1 : own;
    if (!(seq > last)) return null;
    last = seq;
    const { file, from, bytes, scan } = found.tails[at] as FileTail;
    const { offsets, lengths, kinds, kindTable } = scan.rows;
    const offset = offsets[row] as number;
    const start = offset - from;
    events.push({
      seq,
      file,
      line: bytes.subarray(start, start + (lengths[row] as number)),
      kind: kindTable[kinds[row] as number] as RowKind,
      createdAt,
      createdAtUs: journal === 'turns' ? Math.floor(createdAt * 1_000_000) : createdAt,
      offset,
      isNumbered,
    });
  }
  return events;
}
