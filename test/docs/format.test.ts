/** The bytes that docs/format.md shows, decoded and encoded by the code that writes them. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { connect } from '../../client/index.js';
import {
  type CatalogEntry,
  type CatalogFrame,
  decodeCatalogFrame,
  decodeEntry,
  encodeCatalogFrame,
  encodeEntry,
} from '../../daemon/storage/catalog-format.js';
import {
  decodeFileHeader,
  encodeFileHeader,
  encodeFrameOnDisk,
  FILE_HEADER_BYTES,
  type FileHeader,
  frameAt,
} from '../../daemon/storage/frame-format.js';
import { readLogPayload } from '../../daemon/storage/log-record-reader.js';
import { LogPayload, type LogRecord } from '../../daemon/storage/log-records.js';
import { type JsonMember, scanObject } from '../../shared/json-scan.js';
import { composeRunHead, composeRunLine, composeTurnLine } from '../../shared/lines.js';
import { startDaemonProcess } from '../support/daemon.js';
import { blockOf, blocksOf, bytesOfHex, readDocument } from '../support/docs.js';

const DOCUMENT = readDocument('docs/format.md');
const RECORD_POSITION = 9;
const STAMP_US = 1_767_225_600_123_456;

/** As the document shows a value: lines as text, other bytes in hexadecimal. */
function shown(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, member: unknown) => {
      if (!(member instanceof Uint8Array)) return member;
      const bytes = Buffer.from(member);
      return bytes[0] === 0x7b ? bytes.toString('utf8') : bytes.toString('hex');
    }),
  );
}

/** Bytes must not be given as Buffers, whose own JSON form would be shown. */
function plain<T>(value: T): T {
  if (value instanceof Uint8Array) return Uint8Array.from(value) as T;
  if (Array.isArray(value)) return value.map(plain) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)])) as T;
}

function hexOf(name: string): Uint8Array {
  return bytesOfHex(blockOf(DOCUMENT, 'hex', name));
}

function jsonOf(name: string): unknown {
  return JSON.parse(blockOf(DOCUMENT, 'json', name));
}

function encodeRecord(payload: LogPayload, record: LogRecord): void {
  switch (record.type) {
    case 'append':
      payload.append(
        record.retry,
        record.events.map((event) => ({ ...event, start: 0 })),
      );
      return;
    case 'adoptLines':
      payload.adoptLines(record.events.map((event) => ({ ...event, start: 0 })));
      return;
    case 'deleteStream':
    case 'deleteRun':
      payload.deletion(record.stream, record);
      return;
    case 'adoptFiles':
      payload.adoptFiles(record.stream, record);
      return;
    case 'fence':
      payload.fence(record.stream, record.reason);
  }
}

function encodeRecords(records: readonly LogRecord[], firstPosition: number): Uint8Array {
  const payload = new LogPayload(firstPosition);
  for (const record of records) encodeRecord(payload, record);
  return payload.view().slice();
}

test('the file header', (t) => {
  const bytes = hexOf('segment-header');
  const header = decodeFileHeader(bytes);
  t.deepEqual(header, jsonOf('segment-header') as FileHeader);
  t.deepEqual(encodeFileHeader(header as FileHeader), bytes);
});

test('a frame with an append', (t) => {
  const bytes = hexOf('frame');
  const frame = frameAt(bytes, 0);
  if (frame.kind !== 'frame') return t.fail(JSON.stringify(frame));
  t.is(frame.end, bytes.length);
  const records = readLogPayload(frame.payload, frame.header.firstPosition);
  t.deepEqual(shown({ header: frame.header, records: plain(records) }), jsonOf('frame'));
  t.deepEqual(
    encodeFrameOnDisk(frame.header, encodeRecords(records, frame.header.firstPosition)),
    bytes,
  );
});

for (const name of ['deleteStream', 'deleteRun', 'adoptFiles', 'adoptLines', 'fence']) {
  test(`the record ${name}`, (t) => {
    const bytes = hexOf(name);
    const records = readLogPayload(bytes, RECORD_POSITION);
    t.deepEqual(
      records.map(({ type }) => type as string),
      [name],
    );
    t.deepEqual(shown(plain(records)), jsonOf(name));
    t.deepEqual(encodeRecords(records, RECORD_POSITION), bytes);
  });
}

test('the catalog and an entry of it', (t) => {
  // msgpackr leaves a mark on the bytes that it decodes, so they are read anew to compare.
  const frame: CatalogFrame = decodeCatalogFrame(hexOf('catalog'));
  t.deepEqual(shown(plain(frame)), jsonOf('catalog'));
  t.deepEqual(encodeCatalogFrame(frame), hexOf('catalog'));
  const packed = frame.entries[0]?.[2] ?? new Uint8Array();
  t.deepEqual(Uint8Array.from(packed), hexOf('entry'));
  const entry: CatalogEntry = decodeEntry(packed);
  t.deepEqual(entry, jsonOf('entry') as CatalogEntry);
  t.deepEqual(encodeEntry(entry), hexOf('entry'));
});

test('every hex block of the document is tested', (t) => {
  const names = blocksOf(DOCUMENT).flatMap(({ language, info }) =>
    language === 'hex' ? info : [],
  );
  const records = ['deleteStream', 'deleteRun', 'adoptFiles', 'adoptLines', 'fence'];
  t.deepEqual(names, ['segment-header', 'frame', ...records, 'catalog', 'entry']);
});

test('the lines of both journals', (t) => {
  const scanned = (text: Uint8Array): { members: Map<string, JsonMember>; closeBrace: number } => {
    const scan = scanObject(text, { depthMax: 8 });
    if (!scan.ok) throw new Error(scan.reason);
    return {
      members: new Map(scan.members.map((member) => [member.key, member])),
      closeBrace: scan.closeBrace,
    };
  };
  const turn = Buffer.from('{"event":"submitted"}');
  const { members, closeBrace } = scanned(turn);
  const turnLine = composeTurnLine(
    turn,
    { keys: new Set(members.keys()), closeBrace },
    {
      sessionId: 's1',
      turnId: '20260101T000000Z-0123456789ab',
      createdAtUs: STAMP_US,
      seq: 1,
    },
  );
  t.is(Buffer.from(turnLine).toString(), blockOf(DOCUMENT, 'jsonl', 'turn'));
  const run = Buffer.from(
    '{"content":1.0,"category":"message","event_type":"human","run_id":"r1","thread_id":"t1"}',
  );
  const runLine = composeRunLine(composeRunHead(run, scanned(run).members), 1, STAMP_US);
  t.is(Buffer.from(runLine).toString(), blockOf(DOCUMENT, 'jsonl', 'run'));
});

test('a real directory holds the files that the document names', async (t) => {
  const daemon = await startDaemonProcess(t);
  const log = await connect({ socketPath: daemon.socketPath });
  await log.turns.append('s1', { event: 'submitted' });
  await log.runs.put({ thread_id: 't1', run_id: 'r1', event_type: 'x', category: 'trace' });
  await log.close();
  const control = join(daemon.dir, '.eventlogd');
  const modeOf = (path: string): number => statSync(path).mode & 0o777;
  t.is(modeOf(control), 0o700);
  t.is(modeOf(daemon.socketPath), 0o600);
  const holder = `{"pid":${daemon.process.pid}}`;
  t.is(readFileSync(join(control, 'lock'), 'utf8'), `${holder.padEnd(63)}\n`);
  t.is(await daemon.stop(), 0);
  const segment = 'commitlog/0000000000000001.log';
  const catalog = 'checkpoint-0000000000000001';
  for (const name of [segment, 'commitlog/spare', catalog]) t.true(DOCUMENT.includes(name), name);
  const known = ['checkpoint-0000000000000001', 'commitlog', 'endpoint', 'format', 'lock'];
  t.deepEqual(
    readdirSync(control)
      .filter((name) => name !== 'eventlogd.sock')
      .sort(),
    [...known, 'quarantine', 'trash'],
  );
  t.is(readFileSync(join(control, 'format'), 'utf8'), '1\n');
  t.is(readFileSync(join(control, 'endpoint'), 'utf8'), `${daemon.socketPath}\n`);
  const log1 = readFileSync(join(control, segment));
  t.is(decodeFileHeader(log1)?.kind, 'EVLOGSEG');
  const first = frameAt(log1, FILE_HEADER_BYTES);
  t.is(first.kind, 'frame');
  t.is(decodeFileHeader(readFileSync(join(control, catalog)))?.kind, 'EVLOGCAT');
  for (const file of ['_turn_journal/s1.jsonl', 'threads/t1/runs/r1.jsonl']) {
    t.is(modeOf(join(daemon.dir, file)), 0o600);
  }
});
