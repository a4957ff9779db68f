import test from 'ava';
import { Retries } from '../../../daemon/commit/retries.js';
import { FoldedLog } from '../../../daemon/recovery/fold-log.js';
import { Catalog } from '../../../daemon/storage/catalog.js';
import type {
  LoggedEvent,
  LogRecord,
  RetryFacts,
  StreamLife,
} from '../../../daemon/storage/log-records.js';

const LIFE: StreamLife = { journal: 'runs', id: 't', generation: 1 };
const RETRY: RetryFacts = { identity: null, key: null, fingerprint: null, atMs: 0 };

function event(position: number, fileName: string, runId: string): LoggedEvent {
  const line = Buffer.from(JSON.stringify({ thread_id: 't', run_id: runId, seq: position }));
  return { stream: LIFE, position, seq: position, fileName, line };
}

function append(...events: LoggedEvent[]): LogRecord {
  return { type: 'append', retry: RETRY, events };
}

function folded(records: readonly LogRecord[]): FoldedLog {
  const log = new FoldedLog(new Catalog(), new Retries(), 0);
  for (const record of records) log.add(record);
  return log;
}

test('a deleted run is not written again into a file that other runs share', (t) => {
  const log = folded([
    append(event(1, 'a.jsonl', 'a'), event(2, 'b.jsonl', 'b')),
    {
      type: 'deleteRun',
      stream: LIFE,
      position: 3,
      retry: RETRY,
      count: 1,
      runId: 'a',
      moved: [],
      rewrites: ['a.jsonl'],
    },
    append(event(4, 'a.jsonl', 'a')),
  ]);
  const stream = log.streams.get('runs/t');
  const due = (name: string): number[] => stream?.due.get(name)?.map(({ seq }) => seq) ?? [];
  t.deepEqual(due('a.jsonl'), [4]);
  t.deepEqual(due('b.jsonl'), [2]);
  t.is(stream?.entry.lastSeq, 4);
});

test('a stream whose files hold nothing any more keeps its life while it is fenced', (t) => {
  const log = folded([
    append(event(1, 'a.jsonl', 'a'), event(2, 'a.jsonl', 'a')),
    { type: 'adoptFiles', stream: LIFE, position: 3, lastSeq: 2, files: [], ranges: [] },
    { type: 'fence', stream: LIFE, position: 4, reason: 'was cut' },
  ]);
  const stream = log.streams.get('runs/t');
  t.is(stream?.entry.lastSeq, 2);
  t.is(stream?.entry.fence, 'was cut');
  t.is(stream?.due.size, 0);
  t.is(log.removed.size, 0);
});

test('a life that ended is gone, and what follows is another', (t) => {
  const next: StreamLife = { ...LIFE, generation: 9 };
  const end: LogRecord = {
    type: 'adoptFiles',
    stream: LIFE,
    position: 2,
    lastSeq: 0,
    files: [],
    ranges: [],
  };
  const ended = folded([append(event(1, 'a.jsonl', 'a')), end]);
  t.is(ended.streams.size, 0);
  t.true(ended.removed.has('runs/t'));
  const again = folded([
    append(event(1, 'a.jsonl', 'a')),
    end,
    append({ ...event(9, 'a.jsonl', 'a'), stream: next, seq: 1 }),
  ]);
  t.is(again.streams.get('runs/t')?.entry.generation, 9);
  t.is(again.streams.get('runs/t')?.entry.lastSeq, 1);
  t.is(again.removed.size, 0);
});

test('adopted lines are due like our own, and those that a catalog covers are not', (t) => {
  const line = Buffer.from('{"event":"x"}');
  const adopted = (position: number, seq: number): LoggedEvent => ({
    stream: LIFE,
    position,
    seq,
    fileName: 'a.jsonl',
    line,
  });
  const records: LogRecord[] = [
    append(event(1, 'a.jsonl', 'a')),
    { type: 'adoptLines', events: [adopted(2, 2), adopted(3, 3)] },
    append(event(4, 'a.jsonl', 'a')),
  ];
  const seqs = (log: FoldedLog): number[] =>
    log.streams
      .get('runs/t')
      ?.due.get('a.jsonl')
      ?.map(({ seq }) => seq) ?? [];
  t.deepEqual(seqs(folded(records)), [1, 2, 3, 4]);
  t.is(folded(records).streams.get('runs/t')?.entry.lastSeq, 4);
  // The catalog covers position 3, but the file's mark not our line at position 1.
  const catalog = new Catalog();
  catalog.set({
    journal: 'runs',
    id: 't',
    generation: 1,
    lastSeq: 3,
    lastCreatedAtUs: 0,
    files: [{ name: 'a.jsonl', length: 28, lines: 2, lastLineLength: 14, lastLineChecksum: 0 }],
    ranges: [],
    openTurns: [],
    fence: null,
    behind: [{ fileName: 'a.jsonl', from: 1 }],
  });
  const log = new FoldedLog(catalog, new Retries(), 3);
  for (const record of records) log.add(record);
  t.deepEqual(seqs(log), [1, 4]);
});

test("a run's file that another program removed leaves nothing to redo, and other files their lines", (t) => {
  const files = [{ name: 'b.jsonl', length: 9, lines: 1, lastLineLength: 9, lastLineChecksum: 0 }];
  const log = folded([
    append(event(1, 'a.jsonl', 'a'), event(2, 'b.jsonl', 'b'), event(3, 'b.jsonl', 'a')),
    {
      type: 'deleteRun',
      stream: LIFE,
      position: 4,
      retry: RETRY,
      count: 2,
      runId: 'a',
      moved: [],
      rewrites: [],
    },
    { type: 'adoptFiles', stream: LIFE, position: 5, lastSeq: 3, files, ranges: [] },
  ]);
  const stream = log.streams.get('runs/t');
  t.deepEqual(log.deletions, []);
  t.is(stream?.due.size, 0);
  t.is(stream?.entry.lastSeq, 3);
  t.deepEqual(stream?.entry.files, files);
});

test('a life that ended and the one that follows in the same files', (t) => {
  const files = [{ name: 'a.jsonl', length: 9, lines: 1, lastLineLength: 9, lastLineChecksum: 0 }];
  const end = { lastSeq: 0, files: [], ranges: [] };
  const log = folded([
    append(event(1, 'b.jsonl', 'b')),
    { type: 'adoptFiles', stream: LIFE, position: 2, ...end },
    {
      type: 'adoptFiles',
      stream: { ...LIFE, generation: 3 },
      position: 3,
      lastSeq: 7,
      files,
      ranges: [],
    },
  ]);
  t.is(log.removed.size, 0);
  const stream = log.streams.get('runs/t');
  t.is(stream?.entry.generation, 3);
  t.is(stream?.entry.lastSeq, 7);
  t.is(stream?.due.size, 0);
});

test('what is adopted without a fence record ends the fence; with one it stays', (t) => {
  const adopted: LogRecord = {
    type: 'adoptFiles',
    stream: LIFE,
    position: 3,
    lastSeq: 2,
    files: [],
    ranges: [],
  };
  const before: readonly LogRecord[] = [
    append(event(1, 'a.jsonl', 'a'), event(2, 'a.jsonl', 'a')),
    { type: 'fence', stream: LIFE, position: 2, reason: 'was cut' },
    adopted,
  ];
  t.is(folded(before).streams.get('runs/t')?.entry.fence, null);
  const again: LogRecord = { type: 'fence', stream: LIFE, position: 4, reason: 'was cut' };
  t.is(folded([...before, again]).streams.get('runs/t')?.entry.fence, 'was cut');
});
