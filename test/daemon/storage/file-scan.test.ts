import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import test from 'ava';
import fc from 'fast-check';
import { type FileScan, matchesMark, scanFile } from '../../../daemon/storage/file-scan.js';
import { lineFacts } from '../../../daemon/storage/line-facts.js';
import { makeFolder } from '../../support/daemon.js';

function scan(path: string, bytes: Buffer, chunkBytes: number): FileScan {
  writeFileSync(path, bytes);
  const fd = openSync(path, 'r');
  try {
    const found = scanFile(fd, 'turns', 'f', { offset: 0, lines: 0, chunkBytes });
    if (!matchesMark(fd, found.mark)) throw new Error('the file does not match its own mark');
    return found;
  } finally {
    closeSync(fd);
  }
}

/** What a scan must find, by splitting on LF. */
function expected(bytes: Buffer): object {
  const rows: object[] = [];
  const damage: object[] = [];
  let accounted = 0;
  let last: Buffer = Buffer.alloc(0);
  let [offset, line] = [0, 1];
  while (offset < bytes.length) {
    const lf = bytes.indexOf(0x0a, offset);
    const end = lf === -1 ? bytes.length : lf;
    const text = bytes.subarray(offset, end);
    const facts = /^[ \t\r]*$/.test(text.toString('latin1')) ? undefined : lineFacts('turns', text);
    const torn = lf === -1;
    if (facts === null) {
      damage.push({ line, offset, length: text.length, raw: text.toString('utf8'), torn });
    } else if (facts !== undefined) {
      rows.push({ offset, length: text.length, seq: facts.seq, kind: facts.kind });
    }
    if (!torn || facts !== null) {
      accounted = torn ? end : end + 1;
      last = bytes.subarray(offset, accounted);
    }
    offset = end + 1;
    line += 1;
  }
  const lines = bytes.filter((byte) => byte === 0x0a).length;
  const lastLine = last.at(-1) === 0x0a ? last.subarray(0, -1) : last;
  const mark = {
    name: 'f',
    length: accounted,
    lines,
    lastLineLength: last.length,
    lastLineChecksum: last.length === 0 ? 0 : crc32(lastLine),
  };
  const endsWithLf = bytes.length === 0 || bytes.at(-1) === 0x0a;
  return { size: bytes.length, mark, endsWithLf, rows, damage };
}

function shown({ size, mark, endsWithLf, rows, damage }: FileScan): object {
  const list = Array.from({ length: rows.count }, (_, at) => ({
    offset: rows.offsets[at],
    length: rows.lengths[at],
    seq: Number.isNaN(rows.seqs[at]) ? null : rows.seqs[at],
    kind: rows.kindTable[rows.kinds[at] as number],
  }));
  return { size, mark, endsWithLf, rows: list, damage };
}

const PIECES = [
  '{"event":"a"}',
  '{"event":"completed","turn_id":"t","seq":3}',
  `{"event":"${'é'.repeat(40)}","turn_id":7}`,
  '{}',
  '[]',
  '{"torn',
  ' \t\r',
  '',
  '\0\0\0',
  '{"event":NaN}',
];

test('any content, read in chunks of any size: the same rows, damage and mark', async (t) => {
  const path = join(await makeFolder(t), 'f');
  const piece = fc.oneof(
    fc.constantFrom(...PIECES).map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 12 }),
      fc.boolean(),
      fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 400 })),
      (pieces, terminated, chunkBytes) => {
        const joined = pieces.flatMap((one) => [one, Buffer.of(0x0a)]);
        const bytes = Buffer.concat(terminated ? joined : joined.slice(0, -1));
        t.deepEqual(shown(scan(path, bytes, chunkBytes)), expected(bytes));
      },
    ),
    { numRuns: 500 },
  );
});

test('more rows than a column begins with, of many kinds', async (t) => {
  const path = join(await makeFolder(t), 'f');
  const lines = Array.from(
    { length: 5_000 },
    (_, at) => `{"event":"x","turn_id":"t${at % 300}","seq":${at}}\n`,
  );
  const found = scan(path, Buffer.from(lines.join('')), 4096);
  t.is(found.rows.count, 5_000);
  t.is(found.rows.kindTable.length, 300);
  t.is(found.rows.seqs[4_999], 4_999);
  const at = found.rows.offsets[4_999] as number;
  t.is(at, lines.slice(0, -1).join('').length);
});

test('of a long malformed line 64 KiB are reported, and its true length', async (t) => {
  const path = join(await makeFolder(t), 'f');
  const bytes = Buffer.concat([Buffer.alloc(100_000, 'x'), Buffer.from('\n{}\n')]);
  const found = scan(path, bytes, 1000);
  t.is(found.damage[0]?.length, 100_000);
  t.is(found.damage[0]?.raw.length, 64 * 1024);
  t.is(found.rows.count, 1);
});

test('a file matches its mark as long as it goes on from the same last line', async (t) => {
  const path = join(await makeFolder(t), 'f');
  const bytes = Buffer.from('{"a":1}\n{"b":2}\n');
  const { mark } = scan(path, bytes, 100);
  const matches = (content: string): boolean => {
    writeFileSync(path, content);
    const fd = openSync(path, 'r');
    try {
      return matchesMark(fd, mark);
    } finally {
      closeSync(fd);
    }
  };
  t.true(matches('{"a":1}\n{"b":2}\n'));
  t.true(matches('{"a":1}\n{"b":2}\n{"c":3}\n'));
  t.true(matches('{"a":1}\n{"b":2}\ntorn'));
  t.false(matches('{"a":1}\n{"b":2}'));
  t.false(matches('{"a":1}\n{"b":3}\n'));
  t.false(matches('{"a":1}\n'));
  t.false(matches('\n{"a":1}\n{"b":2}\n'));
});
