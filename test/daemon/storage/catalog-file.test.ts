import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import {
  appendToCatalog,
  readCatalog,
  writeCatalogAnew,
} from '../../../daemon/storage/catalog-file.js';
import {
  type CatalogEntry,
  type CatalogFrame,
  decodeCatalogFrame,
  decodeEntry,
  encodeCatalogFrame,
  encodeEntry,
} from '../../../daemon/storage/catalog-format.js';
import { encodeFrameOnDisk, FILE_HEADER_BYTES } from '../../../daemon/storage/frame-format.js';
import { type Layout, layoutOf } from '../../../daemon/storage/layout.js';
import { FailureError } from '../../../daemon/workers/failure.js';
import { makeFolder } from '../../support/daemon.js';
import { fillUp, smallDisk, testWith } from '../../support/faults.js';

const MIB = 1024 * 1024;

function texts(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom('__proto__', '', 'a'),
    fc.string({ unit: 'binary', maxLength: 40 }),
  );
}

function refs(): fc.Arbitrary<CatalogEntry['openTurns'][number]['latest']> {
  return fc.record({
    fileName: texts(),
    offset: fc.maxSafeNat(),
    length: fc.nat(),
    seq: fc.maxSafeNat(),
  });
}

function entries(): fc.Arbitrary<CatalogEntry> {
  return fc.record({
    journal: fc.constantFrom('turns', 'runs'),
    id: texts(),
    generation: fc.maxSafeNat(),
    lastSeq: fc.maxSafeNat(),
    lastCreatedAtUs: fc.maxSafeInteger(),
    files: fc.array(
      fc.record({
        name: texts(),
        length: fc.maxSafeNat(),
        lines: fc.maxSafeNat(),
        lastLineLength: fc.nat(2 ** 32 - 1),
        lastLineChecksum: fc.nat(2 ** 32 - 1),
      }),
      { maxLength: 3 },
    ),
    ranges: fc.array(
      fc.record({
        fileName: texts(),
        offset: fc.maxSafeNat(),
        count: fc.maxSafeNat(),
        firstSeq: fc.maxSafeNat(),
      }),
      { maxLength: 3 },
    ),
    openTurns: fc.array(
      fc.record({ turnId: texts(), submitted: fc.option(refs()), latest: refs() }),
      { maxLength: 3 },
    ),
    fence: fc.option(texts()),
    behind: fc.array(fc.record({ fileName: texts(), from: fc.maxSafeNat() }), { maxLength: 2 }),
  });
}

function frames(): fc.Arbitrary<CatalogFrame> {
  const name = fc.record({
    journal: fc.constantFrom('turns' as const, 'runs' as const),
    id: texts(),
  });
  const result = fc.record({
    runs: fc.array(
      fc.record({
        journal: fc.constantFrom('turns' as const, 'runs' as const),
        id: texts(),
        generation: fc.maxSafeNat(),
        firstSeq: fc.maxSafeNat(),
        firstPosition: fc.maxSafeNat(),
        count: fc.nat(),
      }),
      { maxLength: 2 },
    ),
    count: fc.maxSafeNat(),
    fingerprint: fc.option(fc.uint8Array({ minLength: 16, maxLength: 16 })),
    atMs: fc.maxSafeNat(),
  });
  return fc.record({
    cleanStop: fc.boolean(),
    entries: fc.array(
      fc
        .tuple(entries(), fc.option(fc.maxSafeNat()))
        .map(([entry, from]) => [entry.journal, entry.id, encodeEntry(entry), from] as const),
      { maxLength: 3 },
    ),
    removed: fc.array(name, { maxLength: 3 }),
    keys: fc.array(
      fc
        .tuple(name, texts(), result)
        .map(([stream, key, remembered]) => ({ ...stream, key, result: remembered })),
      { maxLength: 2 },
    ),
    clients: fc.array(
      fc.record({
        clientId: texts(),
        lowest: fc.maxSafeNat(),
        atMs: fc.maxSafeNat(),
        results: fc.array(fc.tuple(fc.maxSafeNat(), result), { maxLength: 2 }),
      }),
      { maxLength: 2 },
    ),
    forgottenClients: fc.array(texts(), { maxLength: 2 }),
  });
}

/** Byte strings compare by their bytes, whatever class holds them. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}

async function folder(t: ExecutionContext): Promise<Layout> {
  const layout = layoutOf(join(await makeFolder(t), 'd'));
  mkdirSync(layout.control, { recursive: true });
  return layout;
}

function frame(id: string, covered: number, entry?: CatalogFrame): Uint8Array {
  const header = { epoch: 1, firstPosition: covered + 1, lastPosition: covered, frontier: covered };
  const content = entry ?? {
    cleanStop: false,
    entries: [],
    removed: [{ journal: 'turns', id }],
    keys: [],
    clients: [],
    forgottenClients: [],
  };
  return encodeFrameOnDisk(header, encodeCatalogFrame(content));
}

/** The frames that are read, by the stream that each removes; `corrupt` with its offset. */
function readBack(
  layout: Layout,
): { readonly ids: string[]; readonly torn: number | null } | string {
  const read = readCatalog(layout);
  if (read.kind !== 'read')
    return read.kind === 'corrupt' ? `corrupt at ${read.offset}` : read.kind;
  return { ids: read.frames.map(({ content }) => content.removed[0]?.id ?? ''), torn: read.tornAt };
}

test('entries and frames come back as they were', (t) => {
  fc.assert(fc.property(entries(), (entry) => t.deepEqual(decodeEntry(encodeEntry(entry)), entry)));
  fc.assert(
    fc.property(frames(), (content) => {
      t.deepEqual(plain(decodeCatalogFrame(encodeCatalogFrame(content))), plain(content));
    }),
  );
});

test('a catalog file: what was added is read in order; the newest file counts', async (t) => {
  const layout = await folder(t);
  t.is(readBack(layout), 'none');
  let end = writeCatalogAnew(layout, 1, frame('a', 1), 1);
  for (let more = 2; more < 40; more += 1) end = appendToCatalog(end, frame(`s${more}`, more));
  const read = readCatalog(layout);
  if (read.kind !== 'read') return t.fail(read.kind);
  t.deepEqual(read.end, end);
  t.is(read.tornAt, null);
  t.is(read.frames.length, 39);
  t.deepEqual(read.frames[38]?.header, {
    epoch: 1,
    firstPosition: 40,
    lastPosition: 39,
    frontier: 39,
  });
  writeCatalogAnew(layout, 7, frame('anew', 50), 2);
  t.deepEqual(readBack(layout), { ids: ['anew'], torn: null });
  t.deepEqual(readdirSync(layout.control), ['checkpoint-0000000000000007']);
});

test('a last frame that was cut or zeroed at any byte is no frame, and no loss of those before', async (t) => {
  const layout = await folder(t);
  const first = writeCatalogAnew(layout, 1, frame('a', 1), 1);
  const second = appendToCatalog(first, frame('b', 2));
  const whole = readFileSync(first.path);
  for (let at = first.cursor; at < second.cursor; at += 1) {
    for (const zeros of [false, true]) {
      const bytes = Buffer.from(whole);
      bytes.fill(0, at);
      writeFileSync(first.path, bytes);
      if (!zeros) truncateSync(first.path, at);
      const isWhole = zeros && bytes.equals(whole);
      const torn = isWhole || at === first.cursor ? null : first.cursor;
      t.deepEqual(readBack(layout), { ids: isWhole ? ['a', 'b'] : ['a'], torn });
    }
  }
});

testWith(['root', 'mount'], 'a frame that has no room takes none, and others go on', async (t) => {
  const disk = await smallDisk(t, MIB);
  const layout = layoutOf(join(disk, 'd'));
  mkdirSync(layout.control, { recursive: true });
  const first = writeCatalogAnew(layout, 1, frame('a', 1), 1);
  const { size } = statSync(first.path);
  await fillUp(disk, 4);
  const { bavail } = statfsSync(disk);
  const error = t.throws(() => appendToCatalog(first, frame('b'.repeat(MIB), 2)), {
    instanceOf: FailureError,
  });
  t.is(error?.failure.code, 'ENOSPC');
  t.is(statSync(first.path).size, size);
  t.is(statfsSync(disk).bavail, bavail);
  t.deepEqual(readBack(layout), { ids: ['a'], torn: null });
  appendToCatalog(first, frame('b', 2));
  t.deepEqual(readBack(layout), { ids: ['a', 'b'], torn: null });
});

test('damage in the middle, of the first frame or of the header is corruption, with its place', async (t) => {
  const layout = await folder(t);
  const first = writeCatalogAnew(layout, 1, frame('a', 1), 1);
  const second = appendToCatalog(first, frame('b', 2));
  appendToCatalog(second, frame('c', 3));
  const whole = readFileSync(first.path);
  const damaged = (at: number): ReturnType<typeof readBack> => {
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(first.path, bytes);
    return readBack(layout);
  };
  for (let at = first.cursor; at < second.cursor; at += 1) {
    t.is(damaged(at), `corrupt at ${first.cursor}`);
  }
  t.is(damaged(FILE_HEADER_BYTES + 20), `corrupt at ${FILE_HEADER_BYTES}`);
  t.is(damaged(20), 'corrupt at 0');
  writeFileSync(first.path, whole.subarray(0, FILE_HEADER_BYTES));
  t.is(readBack(layout), `corrupt at ${FILE_HEADER_BYTES}`);
});
