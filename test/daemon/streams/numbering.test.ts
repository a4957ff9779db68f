/** The seqs of old, own and foreign lines, in real files that are loaded again and again. */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import fc from 'fast-check';
import { layoutOf, type StreamName, streamFolders } from '../../../daemon/storage/layout.js';
import { loadStream } from '../../../daemon/streams/load.js';
import { Stream } from '../../../daemon/streams/stream.js';
import { makeFolder } from '../../support/daemon.js';

const SESSION: StreamName = { journal: 'turns', id: 's' };
const THREAD: StreamName = { journal: 'runs', id: 't' };

/** Loads streams of a directory as the daemon does, with what it knew of them before. */
function loader(dir: string, name: StreamName): (before: Stream | null) => Stream {
  const layout = layoutOf(dir);
  const folders = streamFolders(layout, name);
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  const fileNames = name.journal === 'turns' ? ['s.jsonl', 's~1.jsonl'] : null;
  return (before) => {
    const stream = new Stream(name, folders);
    const entry = before?.entry() ?? null;
    const folder = folders.at(-1) as string;
    stream.fill(loadStream({ name, folder, fileNames, entry, known: [] }), entry?.generation ?? 1);
    return stream;
  };
}

function seqs(stream: Stream): number[] {
  return Array.from({ length: stream.index.length }, (_, at) => stream.index.seqAt(at));
}

function places(stream: Stream): unknown[] {
  return Array.from({ length: stream.index.length }, (_, at) => {
    const { seq, file, offset } = stream.index.row(at);
    return [seq, file, offset];
  });
}

/** The seqs that a new session's lines get: their own, and the free ones between. */
function numbered(own: readonly (number | null)[]): number[] {
  const claimed = new Set(own);
  let last = 0;
  return own.map((seq) => {
    let next = seq;
    if (next === null) {
      next = last + 1;
      while (claimed.has(next)) next += 1;
    }
    last = Math.max(last, next);
    return next;
  });
}

function line(seq: number | null): string {
  return `${JSON.stringify(seq === null ? { event: 'x' } : { event: 'x', seq })}\n`;
}

test('lines of a session without seq are numbered once, between those that have one', async (t) => {
  const dir = await makeFolder(t);
  const file = join(dir, '_turn_journal', 's.jsonl');
  const load = loader(dir, SESSION);
  const seq = fc.oneof(fc.constant(null), fc.integer({ min: 1, max: 9 }));
  fc.assert(
    fc.property(
      fc.array(seq, { minLength: 1, maxLength: 12 }),
      fc.array(seq, { maxLength: 5 }),
      (old, more) => {
        writeFileSync(file, old.map(line).join(''));
        const first = load(null);
        const expected = numbered(old);
        t.deepEqual(
          seqs(first),
          expected.toSorted((a, b) => a - b),
        );
        const again = load(first);
        t.deepEqual(places(again), places(first));
        // What others append later is above everything, where it has no seq of its own.
        appendFileSync(file, more.map(() => line(null)).join(''));
        const later = load(again);
        const last = Math.max(...expected);
        t.deepEqual(seqs(later), [...seqs(first), ...more.map((_, at) => last + 1 + at)]);
        t.deepEqual(places(load(later)), places(later));
        t.is(later.fence, null);
        // The daemon's own line behind them, then foreign ones again.
        appendFileSync(file, line(later.lastSeq + 1) + line(null));
        const own = load(later);
        t.deepEqual(seqs(own).slice(-2), [later.lastSeq + 1, later.lastSeq + 2]);
        t.deepEqual(places(load(own)), places(own));
      },
    ),
  );
});

test('a foreign line whose seq is taken, or below one that is, fences the stream', async (t) => {
  const dir = await makeFolder(t);
  const file = join(dir, 'threads', 't', 'runs', 'r.jsonl');
  const load = loader(dir, THREAD);
  const seq = fc.integer({ min: 0, max: 12 });
  fc.assert(
    fc.property(
      fc.array(seq, { minLength: 1, maxLength: 8 }),
      fc.array(seq, { minLength: 1, maxLength: 4 }),
      (old, more) => {
        writeFileSync(file, old.map(line).join(''));
        const first = load(null);
        t.deepEqual(
          seqs(first),
          old.toSorted((a, b) => a - b),
        );
        t.is(first.fence, null, 'old files may repeat seqs and have holes');
        appendFileSync(file, more.map(line).join(''));
        const later = load(first);
        t.deepEqual(
          seqs(later),
          [...old, ...more].toSorted((a, b) => a - b),
        );
        let last = Math.max(...old);
        let clashes = false;
        // What is met at once is taken in by seq: it comes from several files of one thread.
        for (const one of more.toSorted((a, b) => a - b)) {
          clashes ||= one <= last;
          last = Math.max(last, one);
        }
        t.is(later.fence !== null, clashes);
        t.is(later.lastSeq, last);
      },
    ),
  );
});

test("a run's line without a usable seq counts as 0", async (t) => {
  const dir = await makeFolder(t);
  const load = loader(dir, THREAD);
  writeFileSync(
    join(dir, 'threads', 't', 'runs', 'r.jsonl'),
    `${line(null)}{"event":"x","seq":"4"}\n{"event":"x","seq":-2}\n${line(3)}`,
  );
  const first = load(null);
  t.deepEqual(seqs(first), [0, 0, 0, 3]);
  t.deepEqual(places(load(first)), places(first));
});
