import test from 'ava';
import {
  CHANGE_TABLE,
  classifyFile,
  type FileState,
  type FoundFile,
  type KnownFile,
  rowFor,
} from '../../../daemon/watch/change-table.js';

const SAME = { dev: 1, ino: 7 };
const FRESH: KnownFile = { identity: null, size: 0, scanned: 0 };
const OPENED: KnownFile = { identity: SAME, size: 0, scanned: 0 };
const WRITTEN: KnownFile = { identity: SAME, size: 100, scanned: 100 };

function found(size: number, ino = SAME.ino): FoundFile {
  return { dev: 1, ino, size };
}

const CASES: Readonly<Record<string, readonly (readonly [KnownFile, FoundFile])[]>> = {
  'a file that nobody has written yet: nothing to do': [
    [FRESH, null],
    [OPENED, null],
  ],
  'an empty file of ours, or of another program: nothing to do': [
    [OPENED, found(0)],
    [FRESH, found(0)],
  ],
  'a file with content where none was: its content is taken in': [
    [FRESH, found(5)],
    [OPENED, found(5)],
    [OPENED, found(5, 8)],
  ],
  'a file that is gone: the stream is read anew, its life ends with its last file': [
    [WRITTEN, null],
  ],
  'another file in its place: the stream is read anew, and fenced if the file is not a copy': [
    [WRITTEN, found(100, 8)],
    [WRITTEN, found(200, 8)],
    [WRITTEN, { dev: 2, ino: SAME.ino, size: 100 }],
  ],
  'a shorter file: the stream is read anew, and fenced': [
    [WRITTEN, found(99)],
    [WRITTEN, found(0)],
    // A torn end of another program was cut off again.
    [{ ...WRITTEN, scanned: 110 }, found(105)],
  ],
  'the same file with more in it: what is new is taken in': [
    [WRITTEN, found(101)],
    // Ours was written behind what is not taken in yet.
    [{ ...WRITTEN, scanned: 60 }, found(100)],
    [{ ...WRITTEN, identity: null }, found(101)],
  ],
  'the same file of the same size: nothing to do': [
    [WRITTEN, found(100)],
    [{ ...WRITTEN, scanned: 110 }, found(110)],
  ],
};

for (const { name, change, action } of CHANGE_TABLE) {
  test(name, (t) => {
    const cases = CASES[name];
    t.true(cases !== undefined && cases.length > 0);
    for (const [known, file] of cases ?? []) {
      const row = classifyFile(known, file);
      t.deepEqual([row.name, row.change, row.action], [name, change, action]);
    }
  });
}

test('every state has a row, and every row a state', (t) => {
  const met = new Set<string>();
  for (const known of ['none', 'some'] as const) {
    for (const what of ['none', 'same', 'other'] as const) {
      for (const size of ['smaller', 'equal', 'larger'] as const) {
        const state: FileState = { known, found: what, size };
        met.add(rowFor(state).name);
      }
    }
  }
  t.is(met.size, CHANGE_TABLE.length);
});
