/** The index and the questions that it answers, against plain arrays. */
import test from 'ava';
import fc from 'fast-check';
import type { RunRowKind } from '../../../daemon/storage/line-facts.js';
import {
  countRows,
  type KindFilter,
  type Page,
  rowsAfter,
  runPage,
  threadPage,
} from '../../../daemon/streams/queries.js';
import { type Row, StreamIndex } from '../../../daemon/streams/stream-index.js';

function kinds(): fc.Arbitrary<RunRowKind> {
  return fc.record({
    journal: fc.constant('runs' as const),
    runId: fc.constantFrom('a', 'b'),
    eventType: fc.constantFrom('x', 'y'),
    category: fc.constantFrom('message', 'trace'),
    taskId: fc.constantFrom(null, 'k'),
  });
}

/** Rows in seq order, some of equal seq. */
function rows(): fc.Arbitrary<Row[]> {
  const step = fc.record({
    step: fc.constantFrom(0, 0, 1, 1, 1, 3),
    file: fc.nat(3),
    kind: kinds(),
  });
  return fc.array(step, { maxLength: 90, size: 'max' }).map((steps) => {
    let seq = 0;
    return steps.map(({ step: by, file, kind }, at) => {
      seq += by;
      return { seq, file, kind, offset: at * 10, length: 9 };
    });
  });
}

function indexOf(all: readonly Row[]): StreamIndex {
  const index = new StreamIndex();
  for (const row of all) index.add(row);
  return index;
}

function runKind(row: Row): RunRowKind {
  if (row.kind.journal !== 'runs') throw new Error('not of a run');
  return row.kind;
}

/** The first rows of a list and those that share the last one's seq. */
function first(list: readonly Row[], limit: number): Row[] {
  const edge = list[Math.min(limit, list.length) - 1];
  return edge === undefined ? [] : list.filter((row, at) => at < limit || row.seq === edge.seq);
}

function last(list: readonly Row[], limit: number): Row[] {
  const edge = list[Math.max(0, list.length - limit)];
  return edge === undefined ? [] : list.filter(({ seq }) => seq >= edge.seq);
}

test('an index holds its rows, finds seqs and counts kinds', (t) => {
  fc.assert(
    fc.property(rows(), fc.nat(100), (all, seq) => {
      const built = indexOf(all);
      for (const index of [built, new StreamIndex(structuredClone(built.parts()))]) {
        t.is(index.length, all.length);
        t.deepEqual(
          all.map((_, at) => index.row(at)),
          all,
        );
        t.is(index.lastSeq, all.at(-1)?.seq ?? 0);
        t.is(index.firstAfter(seq), all.filter((row) => row.seq <= seq).length);
        t.is(index.firstFrom(seq), all.filter((row) => row.seq < seq).length);
        for (const { kind, count, firstRow, lastRow } of index.kinds) {
          const own = [...all.keys()].filter(
            (at) => JSON.stringify(all[at]?.kind) === JSON.stringify(kind),
          );
          t.deepEqual([count, firstRow, lastRow], [own.length, own[0] ?? -1, own.at(-1) ?? -1]);
        }
      }
    }),
  );
});

test('an index grows over many chunks, and refuses what is out of order', (t) => {
  const index = new StreamIndex();
  const kind: RunRowKind = {
    journal: 'runs',
    runId: 'r',
    eventType: 'e',
    category: 'c',
    taskId: null,
  };
  for (let at = 0; at < 10_000; at += 1)
    index.add({ seq: at + 1, file: 0, offset: at, length: 1, kind });
  for (const at of [0, 31, 32, 33, 4095, 4096, 9999]) {
    t.is(index.seqAt(at), at + 1);
    t.is(index.firstAfter(at), at);
  }
  t.throws(() => index.add({ seq: 9_999, file: 0, offset: 0, length: 1, kind }));
  t.is(index.length, 10_000);
  const early = new StreamIndex();
  early.add({ seq: 5, file: 0, offset: 0, length: 1, kind });
  t.throws(() => early.add({ seq: 4, file: 0, offset: 0, length: 1, kind }));
});

test('shift moves the lines of one file behind an offset, and no others', (t) => {
  fc.assert(
    fc.property(rows(), fc.nat(3), fc.nat(900), fc.nat(50), (all, file, from, by) => {
      const index = indexOf(all);
      index.shift(file, from, by);
      const moved = all.map((row) =>
        row.file === file && row.offset >= from ? { ...row, offset: row.offset + by } : row,
      );
      t.deepEqual(
        all.map((_, at) => index.row(at)),
        moved,
      );
    }),
  );
});

test('every page of a thread and of a run is what the rules say', (t) => {
  const seq = fc.option(fc.nat(90), { nil: undefined });
  const page: fc.Arbitrary<Page> = fc.record({
    beforeSeq: seq,
    afterSeq: seq,
    limit: fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 200 })),
  });
  const filters: readonly KindFilter[] = [
    ({ category }) => category === 'message',
    ({ category, runId }) => category === 'message' && runId === 'a',
    ({ runId, eventType, taskId }) => runId === 'b' && eventType === 'x' && taskId === 'k',
    () => true,
    () => false,
  ];
  fc.assert(
    fc.property(rows(), page, fc.constantFrom(...filters), (all, asked, filter) => {
      const { beforeSeq, afterSeq, limit } = asked;
      const index = indexOf(all);
      const wanted = all.filter((row) => filter(runKind(row)));
      const below = wanted.filter((row) => row.seq < (beforeSeq ?? Number.POSITIVE_INFINITY));
      const above = (list: readonly Row[]): Row[] =>
        list.filter((row) => row.seq > (afterSeq ?? -1));
      const shown = (numbers: readonly number[]): Row[] => numbers.map((at) => index.row(at));
      const ofThread =
        beforeSeq !== undefined
          ? last(below, limit)
          : afterSeq !== undefined
            ? first(above(wanted), limit)
            : last(wanted, limit);
      t.deepEqual(shown(threadPage(index, asked, filter)), ofThread);
      const both = above(below);
      const ofRun = afterSeq === undefined ? last(both, limit) : first(both, limit);
      t.deepEqual(shown(runPage(index, asked, filter)), ofRun);
      const after = first(above(wanted), limit);
      t.deepEqual(shown(rowsAfter(index, afterSeq ?? -1, limit, filter)), after);
      t.is(countRows(index, filter), wanted.length);
    }),
    { numRuns: 1_000 },
  );
});

test('a short stream is not counted as a long one', (t) => {
  const index = new StreamIndex();
  t.is(index.bytes, 0);
  const kind = {
    journal: 'runs',
    runId: 'a',
    eventType: 'x',
    category: 'c',
    taskId: null,
  } as const;
  const add = (count: number): void => {
    for (let seq = index.length + 1; seq <= count; seq += 1) {
      index.add({ seq, file: 0, offset: seq, length: 1, kind });
    }
  };
  add(1);
  t.true(index.bytes < 2_000, `${index.bytes} bytes for one event`);
  add(100_000);
  const perEvent = index.bytes / index.length;
  t.true(perEvent >= 28 && perEvent < 32, `${perEvent} bytes an event`);
});
