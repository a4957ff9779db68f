import test from 'ava';
import fc from 'fast-check';
import { ByteFormatError } from '../../../daemon/storage/byte-codec.js';
import { readLogPayload } from '../../../daemon/storage/log-record-reader.js';
import {
  type LoggedEvent,
  LogPayload,
  type LogRecord,
  type PlacedInPayload,
  type RetryFacts,
  type StreamLife,
} from '../../../daemon/storage/log-records.js';

const NO_RETRY: RetryFacts = { identity: null, key: null, fingerprint: null, atMs: 0 };

/** Records without positions: those follow from the first one and the order. */
type Plain = LogRecord;

function lives(): fc.Arbitrary<StreamLife> {
  return fc.record({
    journal: fc.constantFrom('turns', 'runs'),
    id: fc.constantFrom('a', 'b', '__proto__', 'x'.repeat(200)),
    generation: fc.oneof(fc.constant(1), fc.maxSafeNat()),
  });
}

function retries(): fc.Arbitrary<RetryFacts> {
  const identity = fc.record({
    clientId: fc
      .uint8Array({ minLength: 16, maxLength: 16 })
      .map((id) => Buffer.from(id).toString('hex')),
    number: fc.maxSafeNat(),
    lowest: fc.maxSafeNat(),
  });
  const key = fc.tuple(
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc.uint8Array({ minLength: 16, maxLength: 16 }),
  );
  return fc
    .tuple(fc.option(identity), fc.option(key), fc.maxSafeNat())
    .map(([who, keyed, atMs]) => ({
      identity: who,
      key: keyed?.[0] ?? null,
      fingerprint: keyed?.[1] ?? null,
      atMs,
    }));
}

function events(): fc.Arbitrary<LoggedEvent[]> {
  const one = fc.record({
    stream: lives(),
    position: fc.constant(0),
    seq: fc.maxSafeNat(),
    fileName: fc.string({ unit: 'grapheme', maxLength: 30 }),
    line: fc.uint8Array({ maxLength: 100 }),
  });
  return fc.array(one, { maxLength: 6 });
}

function records(): fc.Arbitrary<Plain> {
  const names = fc.array(fc.string({ unit: 'grapheme', maxLength: 10 }), { maxLength: 3 });
  const placed = { stream: lives(), position: fc.constant(0) };
  const deleted = { retry: retries(), count: fc.maxSafeNat(), moved: names, rewrites: names };
  const file = fc.record({
    name: fc.string({ maxLength: 12 }),
    length: fc.maxSafeNat(),
    lines: fc.maxSafeNat(),
    lastLineLength: fc.nat(2 ** 31 - 1),
    lastLineChecksum: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  });
  const adopted = fc
    .tuple(
      fc.uniqueArray(file, { maxLength: 4, selector: ({ name }) => name }),
      fc.array(fc.tuple(fc.nat(100), fc.maxSafeNat(), fc.maxSafeNat(), fc.maxSafeNat()), {
        maxLength: 5,
      }),
    )
    .map(([files, ranges]) => ({
      files,
      ranges:
        files.length === 0
          ? []
          : ranges.map(([at, offset, count, firstSeq]) => ({
              fileName: (files[at % files.length] as (typeof files)[number]).name,
              offset,
              count,
              firstSeq,
            })),
    }));
  return fc.oneof(
    fc.record({ type: fc.constant('append' as const), retry: retries(), events: events() }),
    fc.record({ type: fc.constant('adoptLines' as const), events: events() }),
    fc.record({
      type: fc.constant('deleteStream' as const),
      ...placed,
      ...deleted,
      runId: fc.constant(null),
    }),
    fc.record({
      type: fc.constant('deleteRun' as const),
      ...placed,
      ...deleted,
      runId: fc.string(),
    }),
    fc.record({
      type: fc.constant('fence' as const),
      ...placed,
      reason: fc.string({ unit: 'grapheme' }),
    }),
    fc.tuple(fc.record(placed), fc.maxSafeNat(), adopted).map(([place, lastSeq, content]) => ({
      type: 'adoptFiles' as const,
      ...place,
      lastSeq,
      ...content,
    })),
  );
}

function placeable(all: readonly LoggedEvent[]): (LoggedEvent & PlacedInPayload)[] {
  return all.map((event) => ({ ...event, start: 0 }));
}

function write(payload: LogPayload, record: Plain): void {
  switch (record.type) {
    case 'append':
      payload.append(record.retry, placeable(record.events));
      return;
    case 'adoptLines':
      payload.adoptLines(placeable(record.events));
      return;
    case 'deleteStream':
    case 'deleteRun':
      payload.deletion(record.stream, record);
      return;
    case 'fence':
      payload.fence(record.stream, record.reason);
      return;
    case 'adoptFiles':
      payload.adoptFiles(record.stream, record);
      return;
    default:
      record satisfies never;
  }
}

/** The records as they must be read: each event and each other record takes the next position. */
function placed(records: readonly Plain[], firstPosition: number): Plain[] {
  let position = firstPosition;
  return records.map((record) => {
    if (record.type !== 'append' && record.type !== 'adoptLines') {
      return { ...record, position: position++ };
    }
    return {
      ...record,
      events: record.events.map((event) => ({ ...event, position: position++ })),
    };
  });
}

/** Byte strings as hexadecimal digits, whatever class holds them. */
function plain(records: readonly LogRecord[]): unknown {
  return JSON.parse(
    JSON.stringify(records, (_key, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
    ).replaceAll(/\{"type":"Buffer","data":\[[^\]]*\]\}/g, (text) =>
      JSON.stringify(Buffer.from((JSON.parse(text) as { data: number[] }).data).toString('hex')),
    ),
  );
}

test('what is written is read, each record at its position', (t) => {
  fc.assert(
    fc.property(fc.array(records(), { maxLength: 8 }), fc.nat(2 ** 48), (all, firstPosition) => {
      const payload = new LogPayload(firstPosition);
      for (const record of all) write(payload, record);
      const expected = placed(all, firstPosition);
      t.deepEqual(plain(readLogPayload(payload.view(), firstPosition)), plain(expected));
      const count = expected.reduce(
        (sum, record) => sum + ('events' in record ? record.events.length : 1),
        0,
      );
      t.is(payload.nextPosition, firstPosition + count);
    }),
    { numRuns: 500 },
  );
});

test('the places of an append are those of its lines, each with its LF', (t) => {
  fc.assert(
    fc.property(fc.array(events(), { maxLength: 4 }), (batches) => {
      const payload = new LogPayload(1);
      for (const batch of batches) {
        const placed = placeable(batch);
        payload.append(NO_RETRY, placed);
        const texts = placed.map(({ start, line }) =>
          Buffer.from(payload.view().subarray(start, start + line.length + 1)).toString('hex'),
        );
        t.deepEqual(
          texts,
          batch.map(({ line }) => `${Buffer.from(line).toString('hex')}0a`),
        );
      }
    }),
  );
});

test('a payload that is cut is refused or ends between records; none of it is made up', (t) => {
  fc.assert(
    fc.property(fc.array(records(), { minLength: 1, maxLength: 3 }), fc.nat(), (all, at) => {
      const payload = new LogPayload(1);
      for (const record of all) write(payload, record);
      const bytes = payload.view();
      let read: readonly LogRecord[];
      try {
        read = readLogPayload(bytes.subarray(0, at % bytes.length), 1);
      } catch (error) {
        t.true(error instanceof ByteFormatError || error instanceof TypeError, String(error));
        return;
      }
      t.deepEqual(plain(read), plain(placed(all, 1).slice(0, read.length)));
    }),
  );
});

test('record types of a later format, streams and files that are not defined are refused', (t) => {
  t.throws(() => readLogPayload(Uint8Array.of(8), 1), {
    instanceOf: ByteFormatError,
    message: /type 8/,
  });
  t.throws(() => readLogPayload(Uint8Array.of(0), 1), { instanceOf: ByteFormatError });
  const fence = Uint8Array.of(7, 0, 0, 0, 0, 0, 0, 0, 0);
  t.throws(() => readLogPayload(fence, 1), { instanceOf: ByteFormatError, message: /stream 0/ });
});

test('format 1: the bytes of a payload with every record type', (t) => {
  const session: StreamLife = { journal: 'turns', id: 's', generation: 7 };
  const thread: StreamLife = { journal: 'runs', id: 'th', generation: 2 ** 32 + 5 };
  const payload = new LogPayload(7);
  payload.append(
    {
      identity: { clientId: '000102030405060708090a0b0c0d0e0f', number: 3, lowest: 2 },
      key: 'k',
      fingerprint: Uint8Array.from({ length: 16 }, (_, at) => 0xa0 + at),
      atMs: 1000,
    },
    placeable([
      { stream: session, position: 7, seq: 1, fileName: 's.jsonl', line: Buffer.from('{}') },
    ]),
  );
  payload.adoptLines(
    placeable([
      { stream: session, position: 8, seq: 2, fileName: 's.jsonl', line: Buffer.from('[]') },
    ]),
  );
  payload.adoptFiles(thread, {
    lastSeq: 9,
    files: [{ name: 'r', length: 10, lines: 1, lastLineLength: 10, lastLineChecksum: 0xdeadbeef }],
    ranges: [{ fileName: 'r', offset: 4, count: 5, firstSeq: 6 }],
  });
  payload.fence(thread, 'why');
  payload.deletion(thread, {
    retry: NO_RETRY,
    count: 3,
    runId: 'r',
    moved: ['r'],
    rewrites: ['q'],
  });
  payload.deletion(session, { retry: NO_RETRY, count: 2, runId: null, moved: ['s'], rewrites: [] });
  const expected = [
    // A stream: journal turns, id, generation.
    '01 00 01000000 73 0700000000000000',
    // An append: has identity and key, when, client, number, lowest, key, fingerprint.
    '02 03 e803000000000000 000102030405060708090a0b0c0d0e0f',
    '0300000000000000 0200000000000000 01000000 6b a0a1a2a3a4a5a6a7a8a9aaabacadaeaf',
    // Its one event: stream 0, seq, file name, line with LF.
    '01000000 00000000 0100000000000000 07000000 732e6a736f6e6c 03000000 7b7d0a',
    // Adopted lines: the same without what an append is recognised by.
    '06 01000000 00000000 0200000000000000 07000000 732e6a736f6e6c 03000000 5b5d0a',
    // A stream: journal runs.
    '01 01 02000000 7468 0500000001000000',
    // Adopted files: stream 1, last seq, one file, one range.
    '05 01000000 0900000000000000 01000000 01000000 72 0a00000000000000 0100000000000000',
    '0a000000 efbeadde 01000000 00000000 0400000000000000 0500000000000000 0600000000000000',
    // A fence.
    '07 01000000 03000000 776879',
    // The deletion of a run, then of a stream.
    '04 01000000 00 0000000000000000 0300000000000000 01000000 72 01000000 01000000 72',
    '01000000 01000000 71',
    '03 00000000 00 0000000000000000 0200000000000000 01000000 01000000 73 00000000',
  ];
  t.is(Buffer.from(payload.view()).toString('hex'), expected.join('').replaceAll(' ', ''));
  t.is(payload.nextPosition, 13);
  t.deepEqual(
    readLogPayload(payload.view(), 7).map(({ type }) => type),
    ['append', 'adoptLines', 'adoptFiles', 'fence', 'deleteRun', 'deleteStream'],
  );
});
