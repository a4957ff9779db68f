import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { connect } from '../../client/index.js';
import { startDaemon } from '../../daemon/index.js';
import { makeFolder, startDaemonProcess } from '../support/daemon.js';
import { client, runFile, sessionFile } from '../support/faults.js';
import { contentsOf, flipByte, framesOf, offlineCommand, type Row } from '../support/offline.js';

const GOLDEN = fileURLToPath(new URL('../../../test/golden/', import.meta.url));

interface Expected {
  readonly turns: Record<string, { malformed: { line: number; raw: string }[] }>;
  readonly runs: Record<string, { malformed: Record<string, { line: number; raw: string }[]> }>;
}

const event = (run: string, n: number) => ({
  thread_id: 't',
  run_id: run,
  event_type: 'x',
  category: 'message',
  content: String(n),
});

function runLine(run: string, seq: number | null): string {
  const record = { ...event(run, seq ?? 0), metadata: {}, ...(seq === null ? {} : { seq }) };
  return `${JSON.stringify({ ...record, created_at: '2026-01-01T00:00:00.000000+00:00' })}\n`;
}

let template = '';

/** It is copied rather than served anew for each test: that is as good. */
test.before('a thread of two runs and a session are served, and left cleanly', async () => {
  template = mkdtempSync('/tmp/el-');
  const daemon = await startDaemon({ dir: template, logLevel: 'silent' });
  const log = await connect({ dir: template });
  for (let n = 1; n <= 3; n += 1) {
    await log.runs.put(event('a', n));
    await log.runs.put(event('b', n));
    await log.turns.append('s', { event: 'delta', n });
  }
  await log.close();
  await daemon.close();
});

test.after.always(() => rmSync(template, { recursive: true, force: true }));

async function servedDirectory(t: ExecutionContext): Promise<string> {
  const dir = await makeFolder(t);
  cpSync(template, dir, { recursive: true });
  return dir;
}

/** A directory that no daemon has seen, with these files of runs of thread `t`. */
async function foreignThread(
  t: ExecutionContext,
  files: Readonly<Record<string, string>>,
): Promise<string> {
  const dir = await makeFolder(t);
  mkdirSync(join(dir, 'threads', 't', 'runs'), { recursive: true });
  for (const [run, text] of Object.entries(files)) writeFileSync(runFile(dir, 't', run), text);
  return dir;
}

function found(rows: readonly Row[], level = 'finding'): Row[] {
  return rows.filter((row) => row['level'] === level);
}

test('golden tree: exactly the malformed lines that are expected, and nothing is created', async (t) => {
  const dir = await makeFolder(t);
  cpSync(GOLDEN, dir, { recursive: true });
  const expected = JSON.parse(readFileSync(join(dir, 'expected.json'), 'utf8')) as Expected;
  rmSync(join(dir, 'expected.json'));
  const before = contentsOf(dir);
  const { code, rows } = await offlineCommand(dir, ['verify']);
  t.is(code, 1);
  const reported = rows
    .filter(({ kind }) => kind === 'malformed' || kind === 'torn')
    .map(({ file, line, raw }) => ({ file, line, raw }));
  const wanted = [
    ...Object.entries(expected.turns).flatMap(([id, { malformed }]) =>
      malformed.map((one) => ({ file: `_turn_journal/${id}.jsonl`, ...one })),
    ),
    ...Object.entries(expected.runs).flatMap(([thread, { malformed }]) =>
      Object.entries(malformed).flatMap(([run, lines]) =>
        lines.map((one) => ({ file: `threads/${thread}/runs/${run}.jsonl`, ...one })),
      ),
    ),
  ];
  const sorted = (list: readonly object[]) =>
    list.map((one) => JSON.stringify(one)).sort((a, b) => (a < b ? -1 : 1));
  t.deepEqual(sorted(reported), sorted(wanted));
  t.deepEqual(contentsOf(dir), before);
});

test('a malformed line is told with its byte offset, a torn one as torn', async (t) => {
  const dir = await foreignThread(t, { a: `${runLine('a', 1)}[1]\n${runLine('a', 2)}{"half` });
  const { rows } = await offlineCommand(dir, ['verify']);
  const at = runLine('a', 1).length;
  const file = 'threads/t/runs/a.jsonl';
  const place = { level: 'finding', journal: 'runs', stream: 't', file };
  t.deepEqual(rows, [
    {
      ...place,
      kind: 'malformed',
      line: 2,
      offset: at,
      raw: '[1]',
      detail: 'a line that is no JSON object',
    },
    {
      ...place,
      kind: 'torn',
      line: 4,
      offset: at + 4 + runLine('a', 2).length,
      raw: '{"half',
      detail: 'a last line that is no whole event',
    },
  ]);
});

test('a directory that a daemon left cleanly has no findings, and is not changed', async (t) => {
  const dir = await servedDirectory(t);
  const before = contentsOf(dir);
  const { code, rows, summary } = await offlineCommand(dir, ['verify']);
  t.deepEqual(rows, []);
  t.is(code, 0);
  t.like(summary, { kind: 'summary', findings: 0, streams: 2, files: 3, events: 9, segments: 1 });
  t.deepEqual(contentsOf(dir), before);
});

test('verify and repair refuse while a daemon holds the lock', async (t) => {
  const daemon = await startDaemonProcess(t);
  for (const command of [['verify'], ['repair'], ['repair', '--apply']]) {
    const { code, stderr } = await offlineCommand(daemon.dir, command);
    t.is(code, 78);
    t.true(stderr.includes(`process ${daemon.process.pid}`), stderr);
  }
});

test('gaps, repeats and a wrong order of seqs are told by line and offset', async (t) => {
  const dir = await foreignThread(t, {
    a: runLine('a', 1) + runLine('a', 4) + runLine('a', 3),
    b: runLine('b', 3),
  });
  const { code, rows } = await offlineCommand(dir, ['verify']);
  t.is(code, 1);
  const length = runLine('a', 1).length;
  t.deepEqual(
    found(rows).map(({ kind, file, line, offset, detail }) => [kind, file, line, offset, detail]),
    [
      ['seq-order', 'threads/t/runs/a.jsonl', 3, 2 * length, 'seq 3 stands behind seq 4'],
      ['seq-gap', 'threads/t/runs/a.jsonl', 3, 2 * length, 'seq 2 is missing before it'],
      ['seq-repeat', 'threads/t/runs/b.jsonl', 1, 0, 'seq 3 is that of a.jsonl line 3 too'],
    ],
  );
});

test('turns without a seq are no gap', async (t) => {
  const dir = await makeFolder(t);
  mkdirSync(join(dir, '_turn_journal'));
  writeFileSync(sessionFile(dir, 's'), '{"event":"a"}\n\n{"event":"b"}\n{"event":"c","seq":3}\n');
  const { code, rows } = await offlineCommand(dir, ['verify']);
  t.deepEqual([code, rows], [0, []]);
});

test('gaps of a deleted run are told, but are no finding', async (t) => {
  const daemon = await startDaemonProcess(t);
  const log = await client(t, daemon.dir);
  for (const run of ['a', 'b', 'a']) await log.runs.put(event(run, 0));
  await log.runs.deleteByRun('t', 'b');
  await log.close();
  await daemon.stop();
  const { code, rows } = await offlineCommand(daemon.dir, ['verify']);
  t.is(code, 0);
  t.deepEqual(
    rows.map(({ level, kind }) => [level, kind]),
    [['info', 'seq-gap']],
  );
});

test('a foreign event whose seq is taken is found before any daemon has met it', async (t) => {
  const dir = await servedDirectory(t);
  appendFileSync(runFile(dir, 't', 'a'), runLine('a', 2));
  const { code, rows } = await offlineCommand(dir, ['verify']);
  t.is(code, 1);
  t.deepEqual(
    found(rows).map(({ kind }) => kind),
    ['seq-order', 'seq-clash', 'seq-repeat'],
  );
});

test('a file shorter than the catalog knows it, and one with another last line', async (t) => {
  const dir = await servedDirectory(t);
  const path = runFile(dir, 't', 'a');
  const { length } = readFileSync(path);
  truncateSync(path, length - 10);
  flipByte(sessionFile(dir, 's'), readFileSync(sessionFile(dir, 's')).length - 3);
  const { rows } = await offlineCommand(dir, ['verify']);
  const changed = rows.filter(({ kind }) => kind === 'file-changed');
  t.deepEqual(
    changed.map(({ file }) => file),
    ['_turn_journal/s.jsonl', 'threads/t/runs/a.jsonl'],
  );
  t.is(
    changed[1]?.['detail'],
    `it has ${length - 10} bytes, but ${length} were accounted for: it was cut or replaced`,
  );
});

test('a removed journal and names that are no id are told, but are no finding', async (t) => {
  const dir = await servedDirectory(t);
  rmSync(runFile(dir, 't', 'a'));
  writeFileSync(join(dir, '_turn_journal', 'no id!.jsonl'), 'x');
  writeFileSync(join(dir, 'threads', 't', 'runs', 'a.jsonl.bak'), 'x');
  mkdirSync(join(dir, 'threads', 'no id'));
  const { code, rows, summary } = await offlineCommand(dir, ['verify']);
  t.is(code, 0);
  t.is(summary['ignoredNames'], 3);
  const kinds = rows.filter(({ kind }) => kind !== 'seq-gap').map(({ kind, file }) => [kind, file]);
  t.deepEqual(kinds, [
    ['file-removed', 'threads/t/runs/a.jsonl'],
    ['ignored-name', '_turn_journal/no id!.jsonl'],
    ['ignored-name', 'threads/no id'],
    ['ignored-name', 'threads/t/runs/a.jsonl.bak'],
  ]);
});

test('a folder in the place of a file is unreadable', async (t) => {
  const dir = await foreignThread(t, { a: runLine('a', 1) });
  mkdirSync(runFile(dir, 't', 'b'));
  const { code, rows } = await offlineCommand(dir, ['verify']);
  t.is(code, 1);
  t.like(rows[0], { kind: 'unreadable', file: 'threads/t/runs/b.jsonl' });
});

test('a folder that cannot be read ends with 74', async (t) => {
  const dir = await makeFolder(t);
  writeFileSync(join(dir, '_turn_journal'), 'no folder');
  const { code, stderr } = await offlineCommand(dir, ['verify']);
  t.is(code, 74, stderr);
});

test('a flipped byte below the durable frontier: file, offset, lost positions, 65', async (t) => {
  const dir = await servedDirectory(t);
  const frame = framesOf(dir, 'log')[3];
  if (frame === undefined) return t.fail('the log is too short');
  flipByte(frame.path, frame.offset + 60);
  const { code, rows } = await offlineCommand(dir, ['verify']);
  t.is(code, 65);
  t.like(rows[0], {
    level: 'corrupt',
    kind: 'log-damaged',
    file: relative(dir, frame.path),
    offset: frame.offset,
    detail: `the checksum does not match; positions ${frame.first} to ${frame.last} are lost`,
  });
  t.is(rows.length, 1);
});

test('a damaged header of a segment, and a segment of a later format', async (t) => {
  const dir = await servedDirectory(t);
  const frame = framesOf(dir, 'log')[0];
  if (frame === undefined) return t.fail('there is no log');
  const whole = readFileSync(frame.path);
  flipByte(frame.path, 20);
  const damaged = await offlineCommand(dir, ['verify']);
  t.is(damaged.code, 65);
  t.like(damaged.rows[0], { kind: 'log-damaged', offset: 0, detail: 'the file header is damaged' });
  writeFileSync(frame.path, whole);
  writeFileSync(join(dir, '.eventlogd', 'format'), '2\n');
  t.is((await offlineCommand(dir, ['verify'])).code, 65);
});

test('a frame that is missing between two others', async (t) => {
  const dir = await servedDirectory(t);
  const [, frame] = framesOf(dir, 'log');
  if (frame === undefined) return t.fail('the log is too short');
  const bytes = readFileSync(frame.path);
  writeFileSync(
    frame.path,
    Buffer.concat([bytes.subarray(0, frame.offset), bytes.subarray(frame.end)]),
  );
  const { code, rows } = await offlineCommand(dir, ['verify']);
  t.is(code, 65);
  t.is(
    rows[0]?.['detail'],
    `the frame begins at position ${frame.last + 1} where ${frame.first} is due; positions ${frame.first} to ${frame.last} are lost`,
  );
});

test('a torn tail of the log is a finding, no corruption', async (t) => {
  const dir = await servedDirectory(t);
  const last = framesOf(dir, 'log').at(-1);
  if (last === undefined) return t.fail('there is no log');
  const bytes = readFileSync(last.path);
  writeFileSync(last.path, Buffer.concat([bytes.subarray(0, last.end), Buffer.from('EVLFtorn')]));
  const { code, rows } = await offlineCommand(dir, ['verify']);
  t.is(code, 1);
  t.like(rows[0], { kind: 'log-torn', offset: last.end });
});

test('damage in the catalog: 65 with file and offset', async (t) => {
  const dir = await servedDirectory(t);
  const [first] = framesOf(dir, 'catalog');
  if (first === undefined) return t.fail('there is no catalog');
  flipByte(first.path, first.offset + 50);
  const { code, rows } = await offlineCommand(dir, ['verify']);
  t.is(code, 65);
  t.like(rows[0], {
    kind: 'catalog-damaged',
    file: relative(dir, first.path),
    offset: first.offset,
  });
});

test('after kill -9 what recovery will see to is told, but is no finding', async (t) => {
  const daemon = await startDaemonProcess(t);
  const log = await client(t, daemon.dir);
  await log.runs.put(event('a', 1));
  await log.turns.append('s', { event: 'delta' });
  await log.close();
  await daemon.kill('SIGKILL');
  const before = contentsOf(daemon.dir);
  const { code, rows } = await offlineCommand(daemon.dir, ['verify']);
  t.is(code, 0);
  t.deepEqual(
    rows.map(({ kind }) => kind),
    ['not-recovered'],
  );
  t.deepEqual(contentsOf(daemon.dir), before);
});
