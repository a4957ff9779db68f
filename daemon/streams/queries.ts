/**
 * Which rows answer a question. Pure: from an index to row numbers.
 *
 * A page never splits rows of equal seq: it takes all of those that share the seq of its edge.
 *
 * @module
 */
import type { RunRowKind } from '../storage/line-facts.js';
import type { Damage } from './assemble.js';
import type { StreamIndex } from './stream-index.js';

/** Where a page lies: below `beforeSeq`, else above `afterSeq`, else at the end. */
export interface Page {
  readonly beforeSeq?: number | undefined;
  readonly afterSeq?: number | undefined;
  readonly limit: number;
}

/** Rows that one page looks at, so that a filter which wants few of them never holds up others. */
const PAGE_SCAN_ROWS = 50_000;

/** Says of a kind of rows whether it is asked for. */
export type KindFilter = (kind: RunRowKind) => boolean;

/** The first rows above `afterSeq`. */
export function rowsAfter(
  index: StreamIndex,
  after: number,
  limit: number,
  filter?: KindFilter,
): number[] {
  return firstRows(index, { from: index.firstAfter(after), to: index.length, limit }, filter);
}

/** What a subscription reads next. */
export interface SubscriptionPage {
  readonly rows: readonly number[];
  /** All rows up to this seq are on the page, or are not asked for. */
  readonly through: number;
  /** Whether nothing lies behind it. */
  readonly isLast: boolean;
}

/** The next rows above `after`, as many as `bytesMax` holds, and one at least. */
export function subscriptionPage(
  index: StreamIndex,
  after: number,
  bytesMax: number,
  filter?: KindFilter,
): SubscriptionPage {
  const wanted = wantedKinds(index, filter);
  const start = index.firstAfter(after);
  const rows: number[] = [];
  let bytes = 0;
  let at = start;
  for (; at < index.length; at += 1) {
    const isFull = bytes >= bytesMax || at - start >= PAGE_SCAN_ROWS;
    if (isFull && index.seqAt(at) !== index.seqAt(at - 1)) break;
    if (!wanted.has(index.kindAt(at))) continue;
    rows.push(at);
    bytes += index.row(at).length;
  }
  return {
    rows,
    through: at === start ? after : index.seqAt(at - 1),
    isLast: at === index.length,
  };
}

/** A page of a thread: `beforeSeq` wins over `afterSeq`; with neither the latest rows. */
export function threadPage(index: StreamIndex, page: Page, filter: KindFilter): number[] {
  const { beforeSeq, afterSeq, limit } = page;
  if (beforeSeq !== undefined) {
    return lastRows(index, { from: 0, to: index.firstFrom(beforeSeq), limit }, filter);
  }
  if (afterSeq !== undefined) return rowsAfter(index, afterSeq, limit, filter);
  return lastRows(index, { from: 0, to: index.length, limit }, filter);
}

/** A page of a run: both bounds apply; with `afterSeq` the first rows, else the last. */
export function runPage(index: StreamIndex, page: Page, filter: KindFilter): number[] {
  const { beforeSeq, afterSeq, limit } = page;
  const from = afterSeq === undefined ? 0 : index.firstAfter(afterSeq);
  const to = beforeSeq === undefined ? index.length : index.firstFrom(beforeSeq);
  return afterSeq === undefined
    ? lastRows(index, { from, to, limit }, filter)
    : firstRows(index, { from, to, limit }, filter);
}

/** The number of rows of the kinds that are asked for. */
export function countRows(index: StreamIndex, filter: KindFilter): number {
  return index.kinds
    .filter(({ kind }) => kind.journal === 'runs' && filter(kind))
    .reduce((sum, { count }) => sum + count, 0);
}

/** The malformed lines in the bytes that a page of a session covers. */
export function damageOnPage(
  stream: { readonly index: StreamIndex; readonly damage: readonly Damage[] },
  page: { readonly from: number; readonly to: number },
): readonly Damage[] {
  const { index, damage } = stream;
  if (damage.length === 0) return [];
  const starts = endOffsets(index, page.from);
  const ends = page.to === index.length ? null : endOffsets(index, page.to);
  return damage.filter(({ file, offset }) => {
    const start = starts.get(file) ?? 0;
    const end = ends === null ? Number.POSITIVE_INFINITY : (ends.get(file) ?? 0);
    return offset >= start && offset < end;
  });
}

/** How far each file is read when the rows before `to` are. */
function endOffsets(index: StreamIndex, to: number): Map<number, number> {
  const ends = new Map<number, number>();
  for (let at = 0; at < to; at += 1) {
    const { file, offset, length } = index.row(at);
    ends.set(file, Math.max(ends.get(file) ?? 0, offset + length));
  }
  return ends;
}

interface Range {
  readonly from: number;
  readonly to: number;
  readonly limit: number;
}

function firstRows(index: StreamIndex, range: Range, filter?: KindFilter): number[] {
  const wanted = wantedKinds(index, filter);
  const rows: number[] = [];
  const end = Math.min(range.to, wanted.end);
  for (let at = Math.max(range.from, wanted.start); at < end; at += 1) {
    if (!wanted.has(index.kindAt(at))) continue;
    const last = rows.at(-1);
    if (rows.length >= range.limit && last !== undefined && index.seqAt(at) !== index.seqAt(last))
      break;
    rows.push(at);
  }
  return rows;
}

function lastRows(index: StreamIndex, range: Range, filter?: KindFilter): number[] {
  const wanted = wantedKinds(index, filter);
  const rows: number[] = [];
  const start = Math.max(range.from, wanted.start);
  for (let at = Math.min(range.to, wanted.end) - 1; at >= start; at -= 1) {
    if (!wanted.has(index.kindAt(at))) continue;
    const first = rows.at(-1);
    if (rows.length >= range.limit && first !== undefined && index.seqAt(at) !== index.seqAt(first))
      break;
    rows.push(at);
  }
  return rows.reverse();
}

interface WantedKinds {
  readonly has: (kind: number) => boolean;
  readonly start: number;
  readonly end: number;
}

/** The kinds that a filter asks for, and the rows between which all of theirs lie. */
function wantedKinds(index: StreamIndex, filter?: KindFilter): WantedKinds {
  if (filter === undefined) return { has: () => true, start: 0, end: index.length };
  const flags = new Uint8Array(index.kinds.length);
  let start = index.length;
  let end = 0;
  for (const [number, { kind, count, firstRow, lastRow }] of index.kinds.entries()) {
    if (count === 0 || kind.journal !== 'runs' || !filter(kind)) continue;
    flags[number] = 1;
    start = Math.min(start, firstRow);
    end = Math.max(end, lastRow + 1);
  }
  return { has: (kind) => flags[kind] === 1, start, end };
}
